/// <reference lib="deno.worker" />
/**
 * The hash log's thread: compares RAM with the digests of what was sent, whenever it is asked to.
 *
 * @module
 */
import { HashScan, type HashScanReply, type HashScanRequest } from "../src/dirty/hash_scan.ts";

let scan: HashScan | undefined;

self.onmessage = ({ data }: MessageEvent<HashScanRequest>) => {
  if (data !== "scan") scan = new HashScan(data);
  reply(data === "scan" ? scan!.run() : "ready");
};

function reply(message: HashScanReply): void {
  self.postMessage(message);
}
