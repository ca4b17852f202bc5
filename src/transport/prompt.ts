/**
 * The part of a {@linkcode Channel} that some have: reading and writing without the event loop, for
 * bytes that a guest stands still for.
 *
 * @module
 */
import type { Channel } from "./channel.ts";
import { HearingTurns } from "./hearing_turns.ts";

/** How long a thread keeps its event loop waiting while bytes come, in milliseconds: a turn costs as much as some. */
const TURN_MS = 250;
/** And while none come: at first, and then twice as long each time, because its turns disturb those who work. */
const QUIET_MS = 5;
const QUIET_MAX_MS = 50;

/** A channel that can. */
export interface PromptChannel extends Channel {
  /**
   * Blocks the thread until there are bytes, and reads them as {@linkcode Channel.read} does.
   * @param milliseconds How long at most; whole ones.
   * @returns How many; 0 if none came; `undefined` if only {@linkcode Channel.read} knows what to do.
   */
  readNow(into: Uint8Array, milliseconds: number): number | undefined;
  /** Has the kernel hold little of the connection from now on: somebody waits for what comes behind it. */
  keepQueueShort(): void;
  /**
   * Writes what the kernel takes at once; while it takes nothing, blocks the thread.
   * @param milliseconds How long at most; whole ones.
   * @returns How much was written; the rest is for another call, or for `write()` if that is nothing.
   */
  writeNow(bytes: Uint8Array, milliseconds: number): number;
}

/**
 * Writes all, at once if that is possible: the event loop has a turn only if the peer takes nothing for long.
 * @returns `undefined` if all is written.
 */
export function writePromptly(channel: Channel, bytes: Uint8Array): Promise<void> | undefined {
  let rest = bytes;
  if (isPrompt(channel)) {
    for (let count = -1; rest.length > 0 && count !== 0; rest = rest.subarray(count)) {
      count = channel.writeNow(rest, QUIET_MS);
    }
  }
  return rest.length > 0 ? channel.write(rest) : undefined;
}

/** Whether a channel can. */
export function isPrompt(channel: Channel): channel is PromptChannel {
  return "readNow" in channel;
}

/**
 * Reads until only {@linkcode Channel.read} knows what to do: the peer has ended its side, or the connection
 * is broken. The event loop has a turn again and again, but so seldom that a message may take a second to be
 * heard: who ends the thread says so in shared memory, and then `target` is empty.
 * @param target Where the next bytes go; empty to stop reading.
 * @param arrived Is told how many have arrived.
 */
export async function readPromptly(
  channel: PromptChannel,
  target: () => Uint8Array,
  arrived: (count: number) => void | Promise<void>,
): Promise<void> {
  using turns = new HearingTurns();
  for (let quiet = QUIET_MS;; await turns.turn()) {
    const end = performance.now() + TURN_MS;
    for (let left = TURN_MS; left > 0; left = end - performance.now()) {
      const into = target();
      if (into.length === 0) return;
      const count = channel.readNow(into, Math.min(quiet, Math.ceil(left)));
      if (count === undefined) return;
      quiet = count > 0 ? QUIET_MS : Math.min(2 * quiet, QUIET_MAX_MS);
      if (count === 0) break;
      const pending = arrived(count);
      if (pending) await pending;
    }
  }
}
