/// <reference lib="deno.worker" />
/**
 * A thread that touches memory: reads the bytes it is asked for and posts them. Its progress is in a
 * shared word, so that others see where it is even while it is stopped in an access.
 *
 * @module
 */

/** What to read. */
export interface TouchRequest {
  readonly memory: WebAssembly.Memory;
  readonly offset: number;
  readonly length: number;
  readonly progress: Int32Array;
}

self.onmessage = ({ data }: MessageEvent<TouchRequest>) => {
  const { memory, offset, length, progress } = data;
  Atomics.store(progress, 0, 1);
  const bytes = new Uint8Array(memory.buffer).slice(offset, offset + length);
  Atomics.store(progress, 0, 2);
  self.postMessage(bytes);
};
