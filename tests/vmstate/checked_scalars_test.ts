import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { array } from "../../src/vmstate/arrays.ts";
import {
  int32Equal,
  int32PositiveLe,
  uint16Equal,
  uint32Equal,
  uint64Equal,
  uint8Equal,
} from "../../src/vmstate/checked_scalars.ts";
import { vmstate } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

const all = vmstate("same", {
  fields: {
    a: uint8Equal(),
    b: uint16Equal(),
    c: uint32Equal({ hint: "Give both sides the same c." }),
    d: int32Equal(),
    e: uint64Equal(),
  },
});
const state = { a: 1, b: 2, c: 3, d: -4, e: 5n };
const bytes = "01" + "0002" + "00000003" + "fffffffc" + "0000000000000005";

Deno.test("The equal kinds are the plain kinds' bytes under QEMU's names", () => {
  assertEquals(saved(all, state), bytes);
  assertEquals(described(all, state).fields.map(({ type, size }) => [type, size]), [
    ["uint8 equal", 1],
    ["uint16 equal", 2],
    ["uint32 equal", 4],
    ["int32 equal", 4],
    ["int64 equal", 8],
  ]);
});

Deno.test("The equal kinds load what is the same and refuse anything else", async () => {
  assertEquals(await load(all, bytes, { ...state }), state);
  const other = { ...state };
  const error = await assertRejects(
    () => load(all, bytes.replace("00000003", "00000009"), other),
    IncompatibleError,
    "same.c is 9 there and 3 here; it must be the same (at offset 0x3)",
  );
  assertInstanceOf(error, IncompatibleError);
  assertEquals(error.advice, "Give both sides the same c.");
  assertEquals(other, state, "the local value stays");
});

Deno.test("uint8Equal() compares each element of an array", async () => {
  const ports = vmstate("ports", { fields: { kinds: array(uint8Equal(), 3) } });
  const kinds = new Uint8Array([1, 2, 3]);
  await load(ports, "010203", { kinds });
  await assertRejects(
    () => load(ports, "010303", { kinds }),
    IncompatibleError,
    "ports.kinds[1] is 3 there and 2 here",
  );
});

Deno.test("int32PositiveLe() takes 0 up to the local value", async () => {
  const ring = vmstate("ring", { fields: { used: int32PositiveLe() } });
  assertEquals(described(ring, { used: 7 }).fields[0]?.type, "int32 le");
  assertEquals(await load(ring, "00000000", { used: 7 }), { used: 0 });
  assertEquals(await load(ring, "00000007", { used: 7 }), { used: 7 });
  for (const hostile of ["00000008", "ffffffff", "80000000"]) {
    const kept = { used: 7 };
    await assertRejects(
      () => load(ring, hostile, kept),
      StreamFormatError,
      "ring.used is ",
    );
    assertEquals(kept, { used: 7 });
  }
});
