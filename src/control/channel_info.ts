/**
 * What one side's channels have done, as `query-migrate` shows it. Where the time went tells which side
 * is the brake: a channel that mostly waits for its connection is faster than the other side or the
 * network, one that is mostly idle is faster than what gives it work.
 *
 * @module
 */
import type { ChannelCounters } from "../threads/channel_counters.ts";

/** A channel's counters with its name. */
export interface NamedCounters {
  /** Such as `multifd 0`. */
  readonly name: string;
  readonly counters: ChannelCounters;
}

/** One channel's figures; times in milliseconds. Ours: QMP has no such thing. */
export interface ChannelInfo {
  /** Such as `multifd 0`. */
  readonly name: string;
  /** Sent or received. */
  readonly bytes: number;
  /** How many packets that were. */
  readonly packets: number;
  /** Pages with content. */
  readonly normal: number;
  /** Pages as zeros. */
  readonly duplicate: number;
  /** How long the thread had nothing to do: no work, or held at a synchronisation. */
  readonly "idle-time": number;
  /** How long the thread waited for the connection. */
  readonly "wait-time": number;
}

/** The figures of some channels. */
export function channelInfos(channels: readonly NamedCounters[]): ChannelInfo[] {
  return channels.map(({ name, counters }) => {
    const { bytes, packets, normalPages, zeroPages, idleMs, waitMs } = counters.snapshot();
    return {
      name,
      bytes,
      packets,
      normal: normalPages,
      duplicate: zeroPages,
      "idle-time": Math.round(idleMs),
      "wait-time": Math.round(waitMs),
    };
  });
}
