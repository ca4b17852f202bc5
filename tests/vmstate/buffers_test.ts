import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import { array } from "../../src/vmstate/arrays.ts";
import {
  bitmap,
  buffer,
  partialBuffer,
  text,
  unused,
  unusedVarray,
  vbuffer,
} from "../../src/vmstate/buffers.ts";
import { int32, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { vmstate } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

Deno.test("buffer() is raw bytes, filled where they are", async () => {
  const description = vmstate("card", { fields: { rom: buffer(3) } });
  const rom = new Uint8Array([1, 2, 3]);
  assertEquals(saved(description, { rom }), "010203");
  assertEquals(described(description, { rom }).fields, [{ name: "rom", type: "buffer", size: 3 }]);
  const state = await load(description, "aabbcc", { rom });
  assertEquals(state.rom === rom, true);
  assertEquals([...rom], [0xaa, 0xbb, 0xcc]);
});

Deno.test("buffer() fills shared memory", async () => {
  const description = vmstate("card", { fields: { rom: buffer(2) } });
  const rom = new Uint8Array(new SharedArrayBuffer(8), 3, 2);
  await load(description, "0a0b", { rom });
  assertEquals([...new Uint8Array(rom.buffer)], [0, 0, 0, 10, 11, 0, 0, 0]);
});

Deno.test("buffer() refuses storage of another length", async () => {
  const description = vmstate("card", { fields: { rom: buffer(3) } });
  const rom = new Uint8Array(4);
  assertThrows(() => saved(description, { rom }), TypeError, "card.rom has 4 bytes, not 3");
  await assertRejects(() => load(description, "010203", { rom }), TypeError, "card.rom has 4");
});

Deno.test("array() of buffers is one after the other", async () => {
  const description = vmstate("card", { fields: { lines: array(buffer(2), 2) } });
  const state = await load(description, "01020304", description.create());
  assertEquals(state.lines.map((line) => [...line]), [[1, 2], [3, 4]]);
  assertEquals(described(description, state).fields, [
    { name: "lines", array_len: 2, type: "buffer", size: 2 },
  ]);
});

Deno.test("partialBuffer() touches nothing but its part", async () => {
  const description = vmstate("card", { fields: { rom: partialBuffer({ start: 1, length: 2 }) } });
  const rom = new Uint8Array([1, 2, 3, 4]);
  assertEquals(saved(description, { rom }), "0203");
  await load(description, "aabb", { rom });
  assertEquals([...rom], [1, 0xaa, 0xbb, 4]);
  const short = { rom: new Uint8Array(2) };
  assertThrows(() => saved(description, short), TypeError, "has 2 bytes, not at least 3");
});

Deno.test("vbuffer() with max makes a buffer of the size that was loaded", async () => {
  const description = vmstate("mail", {
    fields: { used: uint32(), letters: vbuffer({ size: "used", max: 4 }) },
  });
  const state = { used: 2, letters: new Uint8Array([7, 8]) };
  assertEquals(saved(description, state), "00000002" + "0708");
  assertEquals(described(description, state).fields[1], {
    name: "letters",
    type: "buffer",
    size: 2,
  });
  const loaded = await load(description, "00000003 010203", description.create());
  assertEquals([...loaded.letters], [1, 2, 3]);
  assertEquals((await load(description, "00000000", description.create())).letters.length, 0);
});

Deno.test("vbuffer() without max fills the storage, and a larger size is hostile", async () => {
  const description = vmstate("mail", {
    fields: { used: int32(), letters: vbuffer({ size: "used", multiply: 2 }) },
  });
  const letters = new Uint8Array([9, 9, 9, 9]);
  await load(description, "00000001 0102", { used: 0, letters });
  assertEquals([...letters], [1, 2, 9, 9]);
  for (const hostile of ["00000003", "7fffffff", "ffffffff"]) {
    await assertRejects(
      () => load(description, hostile + "00".repeat(16), { used: 0, letters }),
      StreamFormatError,
      "mail.letters is counted by used, which is ",
    );
  }
  assertEquals([...letters], [1, 2, 9, 9]);
});

Deno.test("vbuffer() refuses a size above max before it makes anything", async () => {
  const description = vmstate("mail", {
    fields: { used: uint32(), letters: vbuffer({ size: "used", max: 4 }) },
  });
  const state = description.create();
  const before = state.letters;
  await assertRejects(
    () => load(description, "fffffff0", state),
    StreamFormatError,
    "mail.letters is counted by used, which is 4294967280: at most 4 fit (at offset 0x4)",
  );
  assertEquals(state.letters === before, true);
  const large = { used: 5, letters: new Uint8Array(5) };
  assertThrows(() => saved(description, large), RangeError, "at most 4");
});

Deno.test("text() is a buffer filled up with zeros", async () => {
  const description = vmstate("sign", { fields: { says: text(6) } });
  assertEquals(saved(description, { says: "hé" }), "68c3a9000000");
  assertEquals(saved(description, { says: "123456" }), "313233343536");
  assertEquals((await load(description, "68c3a9007878", { says: "" })).says, "hé");
  assertEquals((await load(description, "313233343536", { says: "" })).says, "123456");
  assertThrows(() => saved(description, { says: "1234567" }), RangeError, "sign.says is 7 bytes");
  assertThrows(() => saved(description, { says: "a\0b" }), RangeError, "none of them zero");
  await assertRejects(
    () => load(description, "ff00ff000000", { says: "" }),
    StreamFormatError,
    "sign.says is not text",
  );
});

Deno.test("bitmap() is 64-bit words with bit 0 at the low end", async () => {
  const description = vmstate("log", {
    fields: { bits: int32(), dirty: bitmap({ size: "bits", max: 200 }) },
  });
  const state = { bits: 65, dirty: new BigUint64Array([1n | 1n << 63n, 1n]) };
  const bytes = "00000041" + "8000000000000001" + "0000000000000001";
  assertEquals(saved(description, state), bytes);
  assertEquals(described(description, state).fields[1], {
    name: "dirty",
    type: "bitmap",
    size: 16,
  });
  assertEquals(await load(description, bytes, description.create()), state);
  await assertRejects(
    () => load(description, "000000c9" + "00".repeat(32), description.create()),
    StreamFormatError,
    "at most 200 fit",
  );
});

Deno.test("bitmap() without max is limited by its words", async () => {
  const description = vmstate("log", {
    fields: { bits: int32(), dirty: bitmap({ size: "bits" }) },
  });
  const dirty = new BigUint64Array(1);
  await load(description, "00000040" + "00000000000000ff", { bits: 0, dirty });
  assertEquals(dirty[0], 255n);
  await assertRejects(
    () => load(description, "00000041" + "00".repeat(16), { bits: 0, dirty }),
    StreamFormatError,
    "at most 64 fit",
  );
});

Deno.test("unused() is zeros when saved and anything when loaded", async () => {
  const description = vmstate("old", {
    fields: { a: uint8(), $gone: unused(3), $more: unused(1), b: uint8() },
  });
  assertEquals(saved(description, { a: 1, b: 2 }), "01 000000 00 02".replaceAll(" ", ""));
  assertEquals(await load(description, "05 ffffff ff 06", { a: 0, b: 0 }), { a: 5, b: 6 });
  assertEquals(described(description, { a: 1, b: 2 }).fields.slice(1, 3), [
    { name: "unused[0]", type: "unused_buffer", size: 3 },
    { name: "unused[1]", type: "unused_buffer", size: 1 },
  ]);
});

Deno.test("unusedVarray() passes over as many elements as a property says", async () => {
  const description = vmstate("old", {
    fields: { count: uint32(), $gone: unusedVarray({ count: "count", size: 2 }), end: uint8() },
  });
  const state = { count: 3, end: 7 };
  assertEquals(saved(description, state), "00000003" + "000000000000" + "07");
  assertEquals(described(description, state).fields[1], {
    name: "unused",
    array_len: 3,
    type: "unused_buffer",
    size: 2,
  });
  const loaded = await load(description, "00000001 ffff 09", { count: 0, end: 0 });
  assertEquals(loaded, { count: 1, end: 9 });
});
