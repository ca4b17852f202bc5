import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { endSending, saveLoop, type SaveLoopInput } from "../../src/ram/save_loop.ts";
import { PageIndex } from "../../src/ram/page_index.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../../src/threads/job_ring.ts";
import { RequestQueue } from "../../src/threads/request_queue.ts";
import { assertSameRam, patternedRam, SPECS } from "./fixtures/patterned_ram.ts";
import { MemoryChannel } from "./fixtures/channels.ts";
import { decodeAll } from "./fixtures/decode_all.ts";

function setUp(ram: GuestRam, slots = 64) {
  const ring = JobRing.create(slots, new Progress());
  const counters = new ChannelCounters();
  const input: SaveLoopInput = {
    ram: ram.layout,
    ring: ring.layout,
    counters: counters.buffer,
    encoder: { detectZero: true },
  };
  return { ring, counters, input };
}

/** All blocks as batches of up to 128 pages, so many pages a run. */
function pushAll(ring: JobRing, ram: GuestRam, perRun = 128): void {
  for (const block of ram.blocks) {
    for (let page = 0; page < block.pageCount;) {
      ring.beginBatch(block.index);
      let left = 128;
      while (left > 0 && page < block.pageCount) {
        const count = Math.min(perRun, left, block.pageCount - page);
        ring.addRun(page, count);
        page += count;
        left -= count;
      }
      ring.publishBatch();
    }
  }
}

Deno.test("saveLoop() sends bytes and pages in the order of the jobs, then returns", async () => {
  const ram = patternedRam(false);
  const { ring, input } = setUp(ram);
  ring.pushBytes(Uint8Array.of(1, 2, 3));
  ring.beginBatch(0);
  ring.addRun(0, 1); // a page of zeros
  ring.publishBatch();
  ring.pushBytes(Uint8Array.of(4, 5));
  ring.beginBatch(0);
  ring.addRun(3, 1);
  ring.publishBatch();
  ring.pushMark(JobKind.END);
  const channel = new MemoryChannel();
  assertEquals(await saveLoop(channel, input), true);
  // The second record names its block again: bytes came between.
  assertEquals(
    channel.written.toHex(),
    "010203 0000000000000002 036c6f77 00 0405 0000000000003002 036c6f77 00".replaceAll(" ", ""),
  );
  assertEquals(ring.pending, 0);
});

for (const perRun of [1, 5, 128]) {
  Deno.test(`saveLoop() sends all pages, in runs of ${perRun}, and counts them`, async () => {
    const ram = patternedRam(true);
    const { ring, counters, input } = setUp(ram);
    pushAll(ring, ram, perRun);
    ring.pushMark(JobKind.END);
    const channel = new MemoryChannel();
    await saveLoop(channel, input);
    const received = GuestRam.create(SPECS);
    decodeAll(received, channel.written, 65_536);
    assertSameRam(received, ram);
    assertEquals(counters.get("normalPages") + counters.get("zeroPages"), 237);
    assertEquals(counters.get("bytes"), channel.written.length);
    assertEquals(counters.get("packets"), channel.writes.length);
  });
}

Deno.test("saveLoop() fills its buffer again and again, and writes no more than half of it at once", async () => {
  const length = 3000 * 4096;
  const ram = GuestRam.create([{ name: "ram", length }]);
  const block = ram.blocks[0]!;
  for (let page = 0; page < 3000; page++) block.view(page * 4096, 4096).fill(1 + page % 255);
  block.untouched.fill(0, 3000, false);
  block.dirty.fill(0, 3000, true);
  const { ring, input } = setUp(ram);
  pushAll(ring, ram);
  ring.pushMark(JobKind.END);
  const channel = new MemoryChannel();
  await saveLoop(channel, input);
  assert(channel.writes.length > 10);
  for (const { length } of channel.writes) assert(length <= 1024 ** 2, `${length}`);
  const received = GuestRam.create([{ name: "ram", length }]);
  decodeAll(received, channel.written, 1_000_000);
  assertSameRam(received, ram);
});

Deno.test("saveLoop() writes everything before a SYNC when that is done", async () => {
  const ram = patternedRam(false);
  const { ring, input } = setUp(ram);
  const channel = new MemoryChannel();
  let writtenAtSync: number | undefined;
  const write = channel.write.bind(channel);
  channel.write = async (bytes) => {
    await write(bytes);
    // Only the SYNC and what follows it are left.
    if (writtenAtSync === undefined) writtenAtSync = channel.written.length;
    assert(ring.pending <= 3);
  };
  ring.pushBytes(Uint8Array.of(1, 2, 3));
  ring.pushMark(JobKind.SYNC);
  ring.pushBytes(Uint8Array.of(4));
  ring.pushMark(JobKind.END);
  await saveLoop(channel, input);
  assertEquals([writtenAtSync, channel.writes.length], [3, 2]);
});

Deno.test("saveLoop() leaves what it was handed and did not send dirty", async () => {
  const ram = patternedRam(false);
  const { ring, input } = setUp(ram);
  pushAll(ring, ram);
  ring.stop();
  const channel = new MemoryChannel();
  assertEquals(await saveLoop(channel, input), false);
  assertEquals(channel.written.length, 0);
  assertEquals(ram.blocks.map((block) => block.dirty.count()), [5, 200, 32]);
});

Deno.test("saveLoop() fails when the connection does", async () => {
  const ram = patternedRam(false);
  const { ring, input } = setUp(ram);
  pushAll(ring, ram);
  ring.pushMark(JobKind.END);
  await assertRejects(() => saveLoop(new MemoryChannel([], 0), input), ConnectionLostError);
});

Deno.test("endSending() waits for the peer's end, and hears when there is none", async () => {
  await endSending(new MemoryChannel([new Uint8Array(10_000)]), false);
  await assertRejects(() => endSending(new MemoryChannel([], 0), false), ConnectionLostError);
  // Where somebody else listens, it is his to hear.
  await endSending(new MemoryChannel([], 0), true);
});

Deno.test("saveLoop() notes where in the stream each page's record stands", async () => {
  const ram = patternedRam(false);
  const { ring, input } = setUp(ram);
  const index = PageIndex.create(ram.blocks.map(({ pageCount }) => pageCount));
  ring.pushBytes(Uint8Array.of(1, 2, 3));
  pushAll(ring, ram, 5);
  ring.pushMark(JobKind.END);
  const channel = new MemoryChannel();
  await saveLoop(channel, { ...input, index: index.layout });
  const view = new DataView(channel.written.buffer);
  for (const block of ram.blocks) {
    for (let page = 0; page < block.pageCount; page++) {
      const header = Number(view.getBigUint64(index.offset(block.index, page)));
      assertEquals([header - header % 4096, index.isZero(block.index, page)], [
        page * 4096,
        page % 3 === 0,
      ]);
    }
  }
});

Deno.test("In postcopy saveLoop() makes parts by itself and sends requested pages first", async () => {
  const ram = patternedRam(false);
  const { ring, input } = setUp(ram);
  const requests = RequestQueue.create(new Progress());
  const channel = new MemoryChannel();
  ring.pushBytes(Uint8Array.of(9));
  ring.pushMark(JobKind.POSTCOPY);
  ring.beginBatch(1);
  ring.addRun(0, 128);
  ring.publishBatch();
  ring.pushBytes(Uint8Array.of(8, 8));
  ring.pushMark(JobKind.END);
  // The second request comes while the batch is being sent, and of the third all is sent by then.
  requests.push(2, 30, 2);
  const write = channel.write.bind(channel);
  channel.write = async (bytes) => {
    await write(bytes);
    if (channel.writes.length === 2) {
      requests.push(0, 1, 1);
      requests.push(2, 30, 1);
    }
  };
  await saveLoop(channel, {
    ...input,
    postcopy: { requests: requests.layout, sectionId: 5, isUrgent: true },
  });
  const { written } = channel;
  assertEquals(written.subarray(0, 6).toHex(), "090200000005");
  const end = "00000000000000107e00000005" + "0808";
  assertEquals(written.subarray(-15).toHex(), end);
  const received = GuestRam.create(SPECS);
  decodeAll(received, written.subarray(6, -15), 65_536);
  assertEquals(received.blocks.map((block) => block.received.count()), [1, 128, 2]);
  // In the order of the stream: what was asked for before the batch, and in the midst of it.
  const text = new TextDecoder("latin1").decode(written);
  const names = ["/rom@etc/acpi/tables", "pc.ram", "low"].map((name) => text.indexOf(name));
  assert(names[0]! > 0 && names[0]! < names[1]! && names[1]! < names[2]!);
  assert(names[2]! < text.lastIndexOf("pc.ram"));
  assertEquals(ram.blocks.map((block) => block.dirty.count()), [4, 72, 30]);
});

Deno.test("In postcopy saveLoop() wakes for a request, and writes it at once", async () => {
  const ram = patternedRam(false);
  const { ring, input } = setUp(ram);
  const requests = RequestQueue.create(new Progress());
  const channel = new MemoryChannel();
  ring.pushMark(JobKind.POSTCOPY);
  requests.push(1, 1, 1);
  const written = Promise.withResolvers<number>();
  const write = channel.write.bind(channel);
  channel.write = async (bytes) => {
    await write(bytes);
    written.resolve(channel.written.length);
    ring.pushMark(JobKind.END);
  };
  const loop = saveLoop(channel, {
    ...input,
    postcopy: { requests: requests.layout, sectionId: 5, isUrgent: true },
  });
  assertEquals(await written.promise, 5 + 8 + 7 + 4096);
  assertEquals(await loop, true);
});
