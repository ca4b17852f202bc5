import { assertEquals, assertThrows } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import {
  checkMagic,
  decodeIntroduction,
  encodeIntroduction,
  headerBytes,
  packetPages,
} from "../../src/multifd/packet.ts";

const UUID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

Deno.test("encodeIntroduction() writes QEMU's 64 bytes, and decodeIntroduction() reads them", () => {
  const bytes = encodeIntroduction({ uuid: UUID, channel: 7 });
  assertEquals(
    bytes.toHex(),
    "11223344" + "00000001" + "0102030405060708090a0b0c0d0e0f10" + "07" + "00".repeat(39),
  );
  assertEquals(decodeIntroduction(bytes), { uuid: UUID, channel: 7 });
  assertEquals(decodeIntroduction(encodeIntroduction({ uuid: UUID, channel: 254 })).channel, 254);
});

Deno.test("decodeIntroduction() refuses another magic, version and length", () => {
  const bytes = encodeIntroduction({ uuid: UUID, channel: 0 });
  const spoiled = (at: number) =>
    Uint8Array.from(bytes, (byte, i) => i === at ? byte ^ 0x80 : byte);
  assertThrows(() => decodeIntroduction(spoiled(0)), StreamFormatError, "magic 0x91223344");
  assertThrows(() => decodeIntroduction(spoiled(7)), StreamFormatError, "version 129");
  assertThrows(() => decodeIntroduction(bytes.subarray(1)), StreamFormatError, "63 bytes");
});

Deno.test("checkMagic() says what it would have been", () => {
  checkMagic(0x11223344, 1, "packet");
  assertThrows(
    () => checkMagic(0x5145564d, 1, "packet"),
    StreamFormatError,
    "A multifd packet with magic 0x5145564d: it is 0x11223344",
  );
  assertThrows(() => checkMagic(0x11223344, 2, "packet"), StreamFormatError, "version 2");
});

Deno.test("headerBytes() and packetPages() follow the page's size", () => {
  assertEquals([packetPages(4096), headerBytes(4096)], [128, 1344]);
  assertEquals([packetPages(65536), headerBytes(65536)], [8, 384]);
  assertEquals([packetPages(1024), headerBytes(1024)], [512, 4416]);
});
