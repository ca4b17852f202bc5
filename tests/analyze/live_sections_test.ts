import { assertEquals, assertThrows } from "@std/assert";
import { StreamInput } from "../../src/analyze/input.ts";
import {
  BitmapWalk,
  HashTableWalk,
  type LiveWalk,
  StorageAttributesWalk,
} from "../../src/analyze/live_sections.ts";
import { StreamFormatError } from "../../src/errors.ts";

function load(walk: LiveWalk, hex: string): void {
  const input = StreamInput.of(Uint8Array.fromHex(hex.replaceAll(" ", "")));
  walk.load(input);
  assertEquals(input.peek(), undefined, "all bytes are taken");
}

Deno.test("BitmapWalk lists bitmaps and counts their bits", () => {
  const walk = new BitmapWalk();
  load(walk, "1c 01 64 01 61 00010000 03  14 01 62 00020000 00  01");
  load(walk, `4c 01 64 01 61 0000000000000000 00000080 0000000000000020 ${"ff".repeat(32)} 01`);
  load(walk, "42 0000000000000080 00000080  20  24 01 62  01");
  const common = { node: "d", complete: true };
  assertEquals(walk.bitmaps, [
    { ...common, name: "a", granularity: 0x10000, enabled: true, persistent: true, bytes: 32 },
    { ...common, name: "b", granularity: 0x20000, enabled: false, persistent: false, bytes: 0 },
  ]);
});

Deno.test("BitmapWalk refuses what QEMU does not write", () => {
  for (
    const [hex, message] of [
      ["80", "unknown flags"],
      ["2c 01 64 01 61", 'bitmap "a" of "d" goes on'],
      ["1c 01 64 01 61 00010000 03 40 0000000000000000 00000080 0000000000002801", "10241 bytes"],
    ] as const
  ) assertThrows(() => load(new BitmapWalk(), hex), StreamFormatError, message);
});

Deno.test("HashTableWalk takes the size, that there is none, and entries", () => {
  load(new HashTableWalk(), "00000018");
  load(new HashTableWalk(), "ffffffff");
  const entries = `00000007 0002 0001 ${"ab".repeat(32)} 00000000 0001 0000 ${"cd".repeat(16)}`;
  load(new HashTableWalk(), `00000000 ${entries} 0000000000000000`);
});

Deno.test("StorageAttributesWalk takes attributes to their end, with or without its mark", () => {
  load(new StorageAttributesWalk(), "0000000000000001");
  load(
    new StorageAttributesWalk(),
    "0000000000001002 0000000000000003 aabbcc 0000000000000008 0000000000000001",
  );
  load(new StorageAttributesWalk(), "0000000000000008");
  const walk = new StorageAttributesWalk();
  assertThrows(() => load(walk, "0000000000000004"), StreamFormatError, "could not read");
  assertThrows(() => load(walk, "0000000000000100"), StreamFormatError, "flags 0x100");
});
