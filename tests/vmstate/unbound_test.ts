import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MigrationError, StreamFormatError } from "../../src/errors.ts";
import { array } from "../../src/vmstate/arrays.ts";
import { int64, uint16, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import { at, validate } from "../../src/vmstate/unbound.ts";
import { vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

interface Ring {
  head: number;
  tail: number;
}

const ring = vmstateOf<Ring>("ring", {
  fields: {
    head: uint8(),
    $headInside: validate((ring) => ring.head < 4),
    tail: uint8(),
    $tailInside: validate((ring) => ring.tail < 4),
  },
});

Deno.test("validate() takes no bytes and is not described", () => {
  assertEquals(saved(ring, { head: 1, tail: 2 }), "0102");
  assertEquals(described(ring, { head: 1, tail: 2 }).fields.map(({ name }) => name), [
    "head",
    "tail",
  ]);
});

Deno.test("validate() fails loading at its place in the stream", async () => {
  assertEquals(await load(ring, "0302", { head: 0, tail: 0 }), { head: 3, tail: 2 });
  const state = { head: 0, tail: 0 };
  await assertRejects(
    () => load(ring, "0402", state),
    StreamFormatError,
    "ring.headInside does not hold for the state that arrived (at offset 0x1)",
  );
  assertEquals(state.tail, 0, "nothing after it was loaded");
});

Deno.test("validate() fails saving, too", () => {
  assertThrows(
    () => saved(ring, { head: 1, tail: 4 }),
    MigrationError,
    "ring.tailInside does not hold for this state",
  );
});

const channel = vmstate("channel", { fields: { count: uint16(), next: int64() } });
interface Timer {
  channels: { count: number; next: bigint; off: number }[];
  old: number;
}
const timer = vmstateOf<Timer>("timer", {
  version: 3,
  fields: {
    $off: at((timer) => timer.channels[0]!, "off", uint32({ name: "channels[0].off", since: 3 })),
    channels: array(struct(channel), 2),
    $next: at((timer) => timer.channels[0]!, "next", int64({ name: "channels[0].next" })),
    old: uint8({ exists: (_, version) => version >= 3 }),
    $older: at((timer) => timer, "old", uint16({ exists: (_, version) => version < 3 })),
  },
});
const state = (): Timer => ({
  channels: [{ count: 1, next: 2n, off: 3 }, { count: 4, next: 5n, off: 6 }],
  old: 7,
});
const channels = "0001" + "0000000000000002" + "0004" + "0000000000000005";

Deno.test("at() is a property of another object", async () => {
  assertEquals(saved(timer, state()), "00000003" + channels + "0000000000000002" + "07");
  assertEquals(described(timer, state()).fields.map(({ name }) => name), [
    "channels[0].off",
    "channels",
    "channels[0].next",
    "old[0]",
  ]);
  const loaded = await load(
    timer,
    "000000aa" + channels + "00000000000000bb" + "cc",
    state(),
  );
  assertEquals(loaded.channels[0], { count: 1, next: 0xbbn, off: 0xaa });
  assertEquals(loaded.old, 0xcc);
});

Deno.test("at() is the same property in the form of an older version", async () => {
  const loaded = await load(timer, channels + "0000000000000002" + "1234", state(), 2);
  assertEquals(loaded.old, 0x1234);
  assertEquals(loaded.channels[0]?.off, 3, "since version 3 only");
});
