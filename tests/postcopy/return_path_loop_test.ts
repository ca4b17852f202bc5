import "../support/load_libc.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { concat } from "@std/bytes";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { PreemptChannel } from "../../src/postcopy/preempt_channel.ts";
import { receivedBitmapSize } from "../../src/postcopy/received_bitmap.ts";
import { ReturnPathLoop } from "../../src/postcopy/return_path_loop.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { JobRing, Progress } from "../../src/threads/job_ring.ts";
import { RequestQueue } from "../../src/threads/request_queue.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import {
  encodeReturnPathMessage,
  RECV_BITMAP_END_MARK,
  type ReturnPathMessage,
} from "../../src/wire/return_path.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";

const SPECS = [{ name: "low", length: 16 * 4096 }, { name: "pc.ram", length: 100 * 4096 }];

/** A loop over what a destination says, and what comes of it. */
function hear(said: readonly Uint8Array[], { open = true, recovering = false } = {}) {
  const ram = GuestRam.create(SPECS);
  for (const block of ram.blocks) block.dirty.fill(0, block.pageCount, true);
  const progress = new Progress();
  const requests = RequestQueue.create(progress);
  if (open) requests.open();
  const ring = JobRing.create(4, progress);
  const posted: ReturnPathMessage[] = [];
  const loop = new ReturnPathLoop(
    new MemoryChannel([concat(said)]),
    { ram: ram.layout, requests: requests.layout, ring: ring.layout, recovering },
    (message) => posted.push(message),
  );
  const asked = () => {
    const taken = [];
    for (let each; (each = requests.take()) !== undefined;) taken.push(each);
    return taken;
  };
  return { ram, requests, posted, loop, asked };
}

function ask(start: number, length = 4096, block?: string): Uint8Array {
  return encodeReturnPathMessage({ type: "REQ_PAGES", block, start, length });
}

const PONG = encodeReturnPathMessage({ type: "PONG", value: 7 });

Deno.test("The return path hands requests on by itself and posts the rest", async () => {
  const said = [PONG, ask(8192, 4096, "pc.ram"), ask(0, 3 * 4096), ask(4096, 4096, "low"), ask(0)];
  const { loop, posted, asked, requests } = hear(said);
  await loop.run();
  assertEquals(posted, [{ type: "PONG", value: 7 }]);
  assertEquals(asked(), [
    { block: 1, first: 2, count: 1 },
    { block: 1, first: 0, count: 3 },
    { block: 0, first: 1, count: 1 },
    { block: 0, first: 0, count: 1 },
  ]);
  assertEquals(requests.count, 4);
  // Where the scan goes on: behind what was asked for last.
  assertEquals(requests.takeLast(), { block: 0, page: 1 });
});

Deno.test("A page that is sent already is asked for in vain, but counts", async () => {
  const { loop, asked, requests, ram } = hear([ask(4096, 4096, "low"), ask(8192, 8192)]);
  ram.blocks[0]!.dirty.fill(1, 2, false);
  await loop.run();
  assertEquals(asked(), [{ block: 0, first: 2, count: 2 }]);
  assertEquals(requests.count, 2);
});

const REFUSED: readonly [string, readonly Uint8Array[], string][] = [
  ["of no block", [ask(0)], "there was none"],
  ["of an unknown block", [ask(0, 4096, "high")], `"high", which this machine does not have`],
  ["that is unaligned", [ask(100, 4096, "low")], "not whole pages"],
  ["of part of a page", [ask(0, 100, "low")], "not whole pages"],
  ["of nothing", [ask(0, 0, "low")], "not whole pages"],
  ["behind the end", [ask(16 * 4096, 4096, "low")], "which has 65536 bytes"],
  ["across the end", [ask(15 * 4096, 8192, "low")], "which has 65536 bytes"],
  ["of 4 GiB", [ask(0, 0xfffff000, "low")], "which has 65536 bytes"],
  ["far away", [ask(2 ** 52, 4096, "low")], "which has 65536 bytes"],
];
for (const [what, said, message] of REFUSED) {
  Deno.test(`A request ${what} is refused`, async () => {
    const { loop, asked } = hear(said);
    const error = await assertRejects(() => loop.run(), StreamFormatError, message);
    assertEquals(error.place.channel, "return path");
    assertEquals(asked(), []);
  });
}

Deno.test("A request before postcopy is refused", async () => {
  const { loop } = hear([ask(0, 4096, "low")], { open: false });
  await assertRejects(() => loop.run(), StreamFormatError, "before postcopy");
  const bare = new ReturnPathLoop(new MemoryChannel([ask(0, 4096, "low")]), undefined, () => {});
  await assertRejects(() => bare.run(), StreamFormatError, "before postcopy");
});

Deno.test("What has been received is read when it was asked for, and then posted", async () => {
  const received = new ByteWriter()
    .bytes(encodeReturnPathMessage({ type: "RECV_BITMAP", block: "pc.ram" }))
    .be64(receivedBitmapSize(100)).bytes(new Uint8Array(16).fill(0xff, 0, 2))
    .be64(RECV_BITMAP_END_MARK).take();
  const { loop, posted, ram } = hear([received, PONG], { open: false, recovering: true });
  await loop.run();
  assertEquals(posted, [{ type: "RECV_BITMAP", block: "pc.ram" }, { type: "PONG", value: 7 }]);
  assertEquals([ram.blocks[1]!.dirty.count(), ram.blocks[1]!.dirty.has(15)], [84, false]);
  for (const how of [{ open: false }, { open: true, recovering: true }]) {
    await assertRejects(() => hear([received], how).loop.run(), StreamFormatError, "nobody had");
  }
});

Deno.test("With a preempt channel requests are answered on the spot, each page once", async () => {
  const { loop, asked, requests, ram } = hear([ask(4096, 8192, "pc.ram"), ask(8192, 8192)]);
  const preempt = new MemoryChannel();
  const counters = new ChannelCounters();
  loop.preempt = new PreemptChannel(preempt, ram, requests, counters, { detectZero: true });
  await loop.run();
  assertEquals(asked(), []);
  const records = "0000000000001002 0670632e72616d 00  0000000000002022 00  0000000000003022 00";
  assertEquals(preempt.written.toHex(), records.replaceAll(" ", ""));
  assertEquals(requests.busy, false);
  assertEquals([counters.get("zeroPages"), counters.get("bytes")], [3, preempt.written.length]);
});

Deno.test("A flood of requests waits for room: nothing is lost and nothing grows", async () => {
  const pages = 100;
  const said = Array.from({ length: 3000 }, (_, i) => ask(i % pages * 4096, 4096, "pc.ram"));
  const { loop, requests } = hear(said);
  const running = loop.run();
  const keepGoing = setInterval(() => {}, 1000);
  let taken = 0;
  while (taken < said.length) {
    assert(requests.pending <= 1024);
    if (requests.take()) taken++;
    else await new Promise((resolve) => setTimeout(resolve, 0));
  }
  clearInterval(keepGoing);
  await running;
  assertEquals(requests.count, said.length);
});

Deno.test("A return path that breaks is an error, one that ends is none", async () => {
  await hear([]).loop.run();
  await assertRejects(() => hear([PONG.subarray(0, 5)]).loop.run(), ConnectionLostError);
});
