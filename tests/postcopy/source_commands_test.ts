import { assertEquals, assertThrows } from "@std/assert";
import { SettingError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import {
  writeAdvise,
  writeDiscards,
  writePackage,
  writeReceivedQuestion,
} from "../../src/postcopy/source_commands.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { Command, readCommand } from "../../src/wire/command.ts";

/** RAM with pages of the host's of a size. */
function ramOf(pages: number, hostPageSize = 4096, name = "pc.ram"): GuestRam {
  const { layout } = GuestRam.create([{ name, length: pages * 4096 }]);
  const blocks = layout.blocks.map((block) => ({ ...block, hostPageSize }));
  return new GuestRam({ ...layout, blocks });
}

/** The ranges of all DISCARDs, in pages, and how many each had. */
async function discarded(
  ram: GuestRam,
): Promise<{ ranges: [string, number, number][]; counts: number[] }> {
  const writer = new ByteWriter();
  let flushed = 0;
  await writeDiscards(writer, ram, () => Promise.resolve(void flushed++));
  const reader = ByteReader.of(writer.take());
  const ranges: [string, number, number][] = [];
  const counts: number[] = [];
  while (!await reader.atEnd()) {
    await reader.u8("type");
    const { command, length, payload } = await readCommand(reader);
    assertEquals(command, Command.POSTCOPY_RAM_DISCARD);
    assertEquals(await payload.u8("version"), 0);
    const name = await payload.countedString("name");
    assertEquals(await payload.u8("terminator"), 0);
    counts.push((length - 3 - name.length) / 16);
    while (!await payload.atEnd()) {
      ranges.push([
        name,
        await payload.size64("start") / 4096,
        await payload.size64("length") / 4096,
      ]);
    }
  }
  assertEquals(flushed, counts.length);
  return { ranges, counts };
}

Deno.test("writeAdvise() says the sizes of pages, as QEMU does", () => {
  const writer = new ByteWriter();
  writeAdvise(writer, ramOf(16));
  assertEquals(writer.take().toHex(), "0800030010" + "0000000000001000" + "0000000000001000");
  writeAdvise(writer, ramOf(16, 65536));
  assertEquals(writer.take().toHex(), "0800030010" + "0000000000010000" + "0000000000001000");
  assertThrows(() => writeAdvise(writer, ramOf(1024, 2 ** 22)), SettingError, "4194304 bytes");
});

Deno.test("writeDiscards() writes what QEMU writes", async () => {
  const ram = ramOf(0x3f02);
  ram.blocks[0]!.dirty.fill(1, 0x3f00, true);
  const writer = new ByteWriter();
  await writeDiscards(writer, ram, () => Promise.resolve());
  const expected = "08 0006 0019 00 06 70632e72616d 00 0000000000001000 0000000003f00000";
  assertEquals(writer.take().toHex(), expected.replaceAll(" ", ""));
});

Deno.test("writeDiscards() names every dirty range, at most twelve in a command", async () => {
  const ram = ramOf(1000);
  const dirty = Array.from({ length: 30 }, (_, i): [number, number] => [i * 33, 1 + i % 5]);
  for (const [first, count] of dirty) ram.blocks[0]!.dirty.fill(first, count, true);
  const { ranges, counts } = await discarded(ram);
  assertEquals(ranges, dirty.map(([first, count]) => ["pc.ram", first, count]));
  assertEquals(counts, [12, 12, 6]);
});

Deno.test("writeDiscards() rounds to whole pages of the host's, which are dirty then", async () => {
  const ram = ramOf(64, 16384);
  const [block] = ram.blocks;
  for (const page of [3, 4, 13, 63]) block!.dirty.add(page);
  assertEquals((await discarded(ram)).ranges, [["pc.ram", 0, 8], ["pc.ram", 12, 4], [
    "pc.ram",
    60,
    4,
  ]]);
  assertEquals(block!.dirty.count(), 16);
});

Deno.test("writeDiscards() names every block, so that a QEMU does not wait for itself", async () => {
  const specs = [{ name: "a", length: 8192 }, { name: "b", length: 4096 }, {
    name: "c",
    length: 0,
  }];
  const ram = GuestRam.create(specs);
  ram.blocks[0]!.dirty.add(1);
  assertEquals((await discarded(ram)).ranges, [["a", 1, 1], ["b", 0, 1]]);
  assertEquals(ram.blocks[1]!.dirty.has(0), true);
});

Deno.test("writePackage() encloses the devices in LISTEN, PINGs and RUN", () => {
  const writer = new ByteWriter();
  writePackage(writer, (content) => void content.bytes(Uint8Array.of(0xd, 0xe)));
  const content = "0800040000" + "0d0e" + "080002000400000003" + "080002000400000042" +
    "0800050000";
  const length = (content.length / 2).toString(16).padStart(8, "0");
  assertEquals(writer.take().toHex(), "0800070004" + length + content);
});

Deno.test("writeReceivedQuestion() names the block", () => {
  const writer = new ByteWriter();
  writeReceivedQuestion(writer, ramOf(1).blocks[0]!);
  assertEquals(writer.take().toHex(), "08000a0007" + "0670632e72616d");
});
