/**
 * The part of a {@linkcode Channel} that some have: reading and writing without the event loop, for
 * bytes that a guest stands still for.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { Channel } from "./channel.ts";

/** How long a thread keeps its event loop waiting while bytes come, in milliseconds: a turn costs as much as some. */
const TURN_MS = 100;
/** And while none come. */
const QUIET_MS = 5;

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
  /** Writes what the kernel takes at once. @returns How much that is; the rest is for `write()`. */
  writeNow(bytes: Uint8Array): number;
}

/** Writes all, at once if that is possible. */
export async function writePromptly(channel: Channel, bytes: Uint8Array): Promise<void> {
  const done = isPrompt(channel) ? channel.writeNow(bytes) : 0;
  if (done < bytes.length) await channel.write(bytes.subarray(done));
}

/** Whether a channel can. */
export function isPrompt(channel: Channel): channel is PromptChannel {
  return "readNow" in channel;
}

/**
 * Reads until only {@linkcode Channel.read} knows what to do: the peer has ended its side, or the connection
 * is broken. The event loop has a turn every few milliseconds.
 * @param target Where the next bytes go; empty to stop reading.
 * @param arrived Is told how many have arrived.
 */
export async function readPromptly(
  channel: PromptChannel,
  target: () => Uint8Array,
  arrived: (count: number) => void | Promise<void>,
): Promise<void> {
  for (;; await setImmediate()) {
    const end = performance.now() + TURN_MS;
    for (let left = TURN_MS; left > 0; left = end - performance.now()) {
      const into = target();
      if (into.length === 0) return;
      const count = channel.readNow(into, Math.min(QUIET_MS, Math.ceil(left)));
      if (count === undefined) return;
      if (count === 0) break;
      const pending = arrived(count);
      if (pending) await pending;
    }
  }
}
