import { assertEquals, assertThrows } from "@std/assert";
import { IncompatibleError, type MigrationError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { RamFlag } from "../../src/ram/flags.ts";
import { RecordHead } from "../../src/ram/record_head.ts";
import { MemorySource } from "../../src/wire/byte_source.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { SPECS } from "./fixtures/patterned_ram.ts";

const ram = GuestRam.create(SPECS);
const PAGE = new Uint8Array(4096);

function headOf(bytes: Uint8Array): RecordHead {
  return new RecordHead(ram, new MemorySource(bytes));
}

Deno.test("RecordHead says which page of which block, record after record", () => {
  const head = headOf(
    new ByteWriter().be64(0x3000 + RamFlag.PAGE).countedString("low").bytes(PAGE)
      .be64(0x1000 + RamFlag.ZERO + RamFlag.CONTINUE).u8(0)
      .be64(0x7000 + RamFlag.ZERO).countedString("pc.ram").u8(0)
      .be64(0x8000 + RamFlag.XBZRLE + RamFlag.CONTINUE).u8(1).be16(5).zeros(5)
      .be64(RamFlag.EOS).take(),
  );
  const seen = [];
  while (head.look() === undefined) {
    seen.push([head.block.name, head.offset, head.kind, head.size, head.bodySize]);
    head.consume();
  }
  assertEquals(seen, [
    ["low", 0x3000, RamFlag.PAGE, 12, 4096],
    ["low", 0x1000, RamFlag.ZERO, 8, 1],
    ["pc.ram", 0x7000, RamFlag.ZERO, 15, 1],
    ["pc.ram", 0x8000, RamFlag.XBZRLE, 8, 8],
  ]);
  assertEquals(head.look(), "other");
});

Deno.test("RecordHead waits for a whole record, and forgets a block that was only looked at", () => {
  const record = new ByteWriter().be64(0x3000 + RamFlag.PAGE).countedString("low").bytes(PAGE)
    .take();
  for (const length of [0, 7, 8, 9, 11, 12, record.length - 1]) {
    assertEquals(headOf(record.subarray(0, length)).look(), "more", `${length} bytes`);
  }
  const source = new MemorySource(record);
  const head = new RecordHead(ram, source);
  assertEquals(head.look(), undefined);
  assertEquals(source.position, 0);
});

Deno.test("RecordHead refuses pages that are not there", () => {
  const refuse = (
    bytes: ByteWriter,
    message: string,
    type: new (what: string) => MigrationError = StreamFormatError,
  ) => {
    assertThrows(() => headOf(bytes.take()).look(), type, message);
  };
  refuse(new ByteWriter().be64(0x28).bytes(PAGE), "continues no block");
  refuse(new ByteWriter().be64(0x5002).countedString("low").u8(0), "Page at 0x5000 is outside");
  refuse(
    new ByteWriter().be64(0xfffffffffffff002n).countedString("low").u8(0),
    "outside RAM block",
  );
  refuse(new ByteWriter().be64(2).countedString("nope").u8(0), '"nope"', IncompatibleError);
  refuse(new ByteWriter().be64(0x40).countedString("low").u8(2).be16(1).u8(0), "encoding 2");
  refuse(new ByteWriter().be64(0x40).countedString("low").u8(1).be16(4097), "4097 bytes");
});
