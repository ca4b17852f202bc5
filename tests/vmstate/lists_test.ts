import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { gtree, gtreeDirectKey, qlist, qtailq } from "../../src/vmstate/lists.ts";
import { uint16, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

const guest = vmstate("guest", { fields: { id: uint16() } });
const guestJson = {
  vmsd_name: "guest",
  version: 1,
  fields: [{ name: "id", type: "uint16", size: 2 }],
};

for (const [type, list] of [["qtailq", qtailq], ["qlist", qlist]] as const) {
  const room = vmstate("room", { fields: { guests: list(guest, { max: 3 }), end: uint8() } });

  Deno.test(`${type}() is a 1 before each element and a 0 at the end`, async () => {
    const state = { guests: [{ id: 1 }, { id: 2 }], end: 9 };
    assertEquals(saved(room, state), "010001" + "010002" + "00" + "09");
    // Several elements would be the same keys again: a JSON parser keeps the last.
    assertEquals(described(room, state).fields[0], {
      name: "guests",
      type,
      ...guestJson,
      size: 7,
    });
    const { guests } = state;
    const loaded = await load(room, "010007" + "ff0008" + "010009" + "00" + "0a", state);
    assertEquals(loaded, { guests: [{ id: 7 }, { id: 8 }, { id: 9 }], end: 10 });
    assertEquals(loaded.guests === guests, true, "the array stays, its elements do not");
    assertEquals(await load(room, "0001", state), { guests: [], end: 1 });
    assertEquals(described(room, state).fields[0], { name: "guests", type, size: 1 });
  });

  Deno.test(`${type}() refuses more elements than max, on both sides`, async () => {
    const four = { guests: [1, 2, 3, 4].map((id) => ({ id })), end: 0 };
    assertThrows(() => saved(room, four), RangeError, "room.guests has 4 elements: at most 3");
    await assertRejects(
      () => load(room, "010001".repeat(1000), room.create()),
      StreamFormatError,
      "room.guests has more than 3 elements (at offset 0x9)",
    );
  });

  Deno.test(`${type}() says which element the stream ended in`, async () => {
    await assertRejects(
      () => load(room, "010001" + "0100", room.create()),
      ConnectionLostError,
      "The stream ended inside room.guests[1].id: 1 of 2 bytes",
    );
  });
}

Deno.test("qtailq() makes elements the way their description does", async () => {
  class Guest {
    id = 0;
    get name(): string {
      return `guest ${this.id}`;
    }
  }
  const described = vmstate("guest", { fields: { id: uint16() }, create: () => new Guest() });
  const room = vmstate("room", { fields: { guests: qtailq(described, { max: 3 }) } });
  const state = await load(room, "01000500", room.create());
  assertEquals(state.guests[0]?.name, "guest 5");
});

Deno.test("qtailq() loads elements in the version of the field, as QEMU does", async () => {
  const old = vmstate("guest", {
    version: 2,
    minimumVersion: 1,
    fields: { id: uint16(), late: uint8({ since: 2 }) },
  });
  assertThrows(
    () => qtailq(old, { max: 3 }),
    RangeError,
    "qtailq() loads guest in version 0, which is older than its oldest, 1",
  );
  assertThrows(() => qtailq(old, { max: 3, since: 1 }), RangeError, 'which has no "late"');
  const room = vmstate("room", {
    version: 2,
    fields: { guests: qtailq(old, { max: 3, since: 2 }) },
  });
  const state = await load(room, "0100010200", room.create());
  assertEquals(state.guests, [{ id: 1, late: 2 }]);
});

Deno.test("qtailq() refuses elements that it could not make", () => {
  const opaque = vmstateOf<{ id: number }>("guest", { fields: { id: uint16() } });
  // The compiler refuses this; a program without types would do it.
  const anyway = opaque as typeof guest;
  assertThrows(() => qtailq(anyway, { max: 3 }), TypeError, "has to make a guest");
});

Deno.test("gtreeDirectKey() is a count, entries in the order of their keys, and a 0", async () => {
  const room = vmstate("room", { fields: { byId: gtreeDirectKey({ value: guest, max: 3 }) } });
  const state = { byId: new Map([[2n ** 63n, { id: 2 }], [1n, { id: 1 }]]) };
  const bytes = "00000002" + "01" + "0000000000000001" + "0001" +
    "01" + "8000000000000000" + "0002" + "00";
  assertEquals(saved(room, state), bytes);
  assertEquals(await load(room, bytes, room.create()), state);
  assertEquals(described(room, state).fields[0], {
    name: "byId",
    type: "gtree",
    ...guestJson,
    size: 27,
  });
});

Deno.test("gtree() has keys of their own description", async () => {
  const key = vmstate("key", { fields: { low: uint8(), high: uint8() } });
  const room = vmstate("room", {
    fields: {
      ranges: gtree({ key, value: guest, max: 3, compare: (a, b) => a.low - b.low }),
    },
  });
  const state = {
    ranges: new Map([[{ low: 5, high: 9 }, { id: 2 }], [{ low: 1, high: 4 }, { id: 1 }]]),
  };
  const bytes = "00000002" + "01" + "0104" + "0001" + "01" + "0509" + "0002" + "00";
  assertEquals(saved(room, state), bytes);
  const loaded = await load(room, bytes, room.create());
  assertEquals([...loaded.ranges], [[{ low: 1, high: 4 }, { id: 1 }], [{ low: 5, high: 9 }, {
    id: 2,
  }]]);
});

Deno.test("gtree() refuses a count that is not the number of its nodes, or above max", async () => {
  const room = vmstate("room", { fields: { byId: gtreeDirectKey({ value: guest, max: 3 }) } });
  const node = "01" + "0000000000000001" + "0001";
  for (
    const [bytes, why] of [
      ["00000004" + node, "room.byId has more than 3 elements"],
      ["ffffffff" + node, "room.byId has more than 3 elements"],
      ["00000001" + node + node + "00", "room.byId has more than the 1 nodes it counts"],
      ["00000002" + node + "00", "room.byId has 1 nodes, not the 2 it counts"],
    ] as const
  ) {
    await assertRejects(() => load(room, bytes, room.create()), StreamFormatError, why);
  }
  const large = { byId: new Map([1n, 2n, 3n, 4n].map((key) => [key, { id: 0 }])) };
  assertThrows(() => saved(room, large), RangeError, "at most 3");
  const negative = { byId: new Map([[-1n, { id: 0 }]]) };
  assertThrows(() => saved(room, negative), RangeError, "has the key -1");
});

Deno.test("Lists go on where they were in what is around them", async () => {
  const table = vmstate("table", { fields: { guests: qtailq(guest, { max: 3 }) } });
  const room = vmstate("room", { fields: { tables: qtailq(table, { max: 3 }), end: uint32() } });
  const state = { tables: [{ guests: [{ id: 1 }] }, { guests: [] }], end: 7 };
  const bytes = "01" + "010001" + "00" + "01" + "00" + "00" + "00000007";
  assertEquals(saved(room, state), bytes);
  assertEquals(await load(room, bytes, room.create()), state);
});
