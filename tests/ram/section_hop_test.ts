import { assertEquals } from "@std/assert";
import { RamFlag } from "../../src/ram/flags.ts";
import { type Hop, SectionHop } from "../../src/ram/section_hop.ts";
import { MemorySource } from "../../src/wire/byte_source.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { ElementType } from "../../src/wire/section.ts";

const ID = 0x01020304;

function hop(bytes: Uint8Array): [Hop, number] {
  const source = new MemorySource(bytes);
  return [new SectionHop(source, ID).pass(), source.position];
}

function border({ eos = RamFlag.EOS as number, footer = ID, next = 2, id = ID } = {}): Uint8Array {
  return new ByteWriter().be64(eos).u8(ElementType.SECTION_FOOTER).be32(footer).u8(next).be32(id)
    .u8(99).take();
}

Deno.test("SectionHop passes from one PART to the next", () => {
  assertEquals(hop(border()), ["passed", 18]);
});

Deno.test("SectionHop waits for no more bytes than another element would have", () => {
  for (let length = 0; length < 18; length++) {
    assertEquals(hop(border().subarray(0, length)), ["more", 0], `${length} bytes`);
  }
  // The stream's end has one byte after the footer.
  assertEquals(hop(border({ next: ElementType.EOF }).subarray(0, 14)), ["other", 0]);
});

Deno.test("SectionHop leaves everything else unread", () => {
  const others = [
    border({ eos: RamFlag.MULTIFD_FLUSH }),
    border({ footer: 5 }),
    border({ next: ElementType.SECTION_END }),
    border({ id: ID + 1 }),
  ];
  for (const bytes of others) assertEquals(hop(bytes), ["other", 0]);
});
