/// <reference lib="deno.worker" />
/**
 * A thread that answers page faults from another memory of the same size, page by page, until the
 * stop word is set; then it posts how many it answered.
 *
 * @module
 */
import { hostPageSize } from "../../src/os/host_memory.ts";
import { FaultReader } from "../../src/os/fault_reader.ts";
import { copy } from "../../src/os/userfaultfd.ts";

/** Which faults to answer, and from where. */
export interface FaultServerRequest {
  readonly fd: number;
  /** The address of the missing memory. */
  readonly to: number;
  /** The address of the memory with the content. */
  readonly from: number;
  readonly stop: Int32Array;
}

self.onmessage = ({ data: { fd, to, from, stop } }: MessageEvent<FaultServerRequest>) => {
  const reader = new FaultReader(fd);
  const page = hostPageSize();
  let answered = 0;
  while (Atomics.load(stop, 0) === 0) {
    const count = reader.wait(50);
    if (count < 0) throw new Error(`errno ${-count}`);
    for (let i = 0; i < count; i++) {
      const address = reader.address(i);
      if (copy(fd, address, from + address - to, page) === page) answered++;
    }
  }
  self.postMessage(answered);
};
