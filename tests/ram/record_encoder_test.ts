import { assert, assertEquals } from "@std/assert";
import { HashLog } from "../../src/dirty/hash_log.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { RECORD_HEADER_MAX, RecordEncoder } from "../../src/ram/record_encoder.ts";
import "../support/load_libc.ts";
import { encodeAll, patternedRam } from "./fixtures/patterned_ram.ts";

const OUT = 4096;

function small(pages: number, name = "heap") {
  const ram = GuestRam.create([{ name, length: pages * 4096 }]);
  const block = ram.blocks[0]!;
  block.dirty.fill(0, pages, true);
  const io = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
  const encoder = (detectZero = true) => new RecordEncoder(ram, io, { detectZero });
  return { ram, block, encoder, bytes: (end: number) => new Uint8Array(io.buffer).slice(OUT, end) };
}

function write(ram: GuestRam, page: number, fill: number): void {
  const block = ram.blocks[0]!;
  block.view(page * 4096, 4096).fill(fill);
  block.untouched.delete(page);
}

Deno.test("RecordEncoder names a block once, then continues it; zeros take nine bytes", () => {
  const { ram, block, encoder, bytes } = small(3);
  write(ram, 1, 7);
  const encoding = encoder();
  const hex = bytes(encoding.encodeRun(block, 0, 3, OUT)).toHex();
  const page = "07".repeat(4096);
  assertEquals(
    hex,
    `0000000000000002 04 68656170 00 0000000000001028 ${page} 0000000000002022 00`
      .replaceAll(" ", ""),
  );
  assertEquals([encoding.normalPages, encoding.zeroPages], [1, 2]);
  assertEquals(block.dirty.count(), 0);
});

Deno.test("RecordEncoder.forgetBlock() makes the next record name its block", () => {
  const { block, encoder, bytes } = small(3);
  const encoding = encoder();
  encoding.encodeRun(block, 0, 1, OUT);
  const continued = bytes(encoding.encodeRun(block, 1, 1, OUT));
  assertEquals(continued.length, 9);
  encoding.forgetBlock();
  assertEquals(bytes(encoding.encodeRun(block, 2, 1, OUT)).length, 9 + 5);
});

Deno.test("RecordEncoder leaves out what is not dirty", () => {
  const { block, encoder, bytes } = small(100);
  block.dirty.fill(0, 100, false);
  const encoding = encoder();
  assertEquals(encoding.encodeRun(block, 0, 100, OUT), OUT);
  for (const page of [3, 64, 65, 99]) block.dirty.add(page);
  const hex = bytes(encoding.encodeRun(block, 0, 90, OUT)).toHex();
  const at = (page: number, flags: number) => (page * 4096 + flags).toString(16).padStart(16, "0");
  assertEquals(hex, `${at(3, 2)}0468656170` + `00${at(64, 0x22)}00${at(65, 0x22)}00`);
  assertEquals([block.dirty.count(), block.dirty.has(99)], [1, true]);
});

Deno.test("RecordEncoder sends zeros as pages when it is told not to look", () => {
  const { ram, block, encoder, bytes } = small(2);
  write(ram, 0, 0);
  const encoding = encoder(false);
  const record = bytes(encoding.encodeRun(block, 0, 2, OUT));
  // What nobody ever touched is known to be zeros without a look.
  assertEquals([encoding.normalPages, encoding.zeroPages], [1, 1]);
  assertEquals(record.length, 8 + 5 + 4096 + 9);
});

Deno.test("RecordEncoder never needs more room than it says", () => {
  const name = "n".repeat(255);
  const { ram, block, encoder } = small(1, name);
  write(ram, 0, 1);
  const end = encoder().encodeRun(block, 0, 1, OUT);
  assertEquals(end - OUT, RECORD_HEADER_MAX + 4096);
});

Deno.test("RecordEncoder with digests makes the same records, and notes what it sent", async () => {
  const ram = patternedRam(false);
  const plain = encodeAll(ram);
  for (const block of ram.blocks) block.dirty.fill(0, block.pageCount, true);
  const log = new HashLog(ram);
  await log.start();
  assertEquals(encodeAll(ram, undefined, { detectZero: true, digests: log.digests }), plain);
  // What was sent is what is there; what is written afterwards is noticed.
  assertEquals(await log.sync(), 0);
  ram.blocks[1]!.view(5 * 4096, 1)[0]! ^= 1;
  assertEquals(await log.sync(), 1);
  assert(ram.blocks[1]!.dirty.has(5));
  await log.stop();
});
