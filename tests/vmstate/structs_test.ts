import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MigrationError } from "../../src/errors.ts";
import { array } from "../../src/vmstate/arrays.ts";
import { int32, uint16, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { struct, vstruct, withTmp } from "../../src/vmstate/structs.ts";
import { vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

const point = vmstate("point", {
  version: 3,
  fields: { x: uint8(), y: uint8({ since: 2 }), z: uint8({ since: 3 }) },
});
const pointJson = (...names: string[]) => ({
  vmsd_name: "point",
  version: names.length,
  fields: names.map((name) => ({ name, type: "uint8", size: 1 })),
});

Deno.test("struct() is the fields of the other description, without a header", async () => {
  const ship = vmstate("ship", { fields: { id: uint16(), at: struct(point), end: uint8() } });
  const state = { id: 1, at: { x: 2, y: 3, z: 4 }, end: 5 };
  assertEquals(saved(ship, state), "0001" + "020304" + "05");
  assertEquals(described(ship, state).fields[1], {
    name: "at",
    type: "struct",
    struct: pointJson("x", "y", "z"),
    size: 3,
  });
  const { at } = state;
  const loaded = await load(ship, "0009 0a0b0c 0d", state);
  assertEquals(loaded, { id: 9, at: { x: 10, y: 11, z: 12 }, end: 13 });
  assertEquals(loaded.at === at, true, "it is filled where it is");
});

Deno.test("struct() has its own version, whatever version is around it", async () => {
  const ship = vmstate("ship", { version: 1, fields: { at: struct(point) } });
  const state = await load(ship, "010203", ship.create(), 0);
  assertEquals(state.at, { x: 1, y: 2, z: 3 });
});

Deno.test("array() of structs that are alike is described once", async () => {
  const fleet = vmstate("fleet", { fields: { ships: array(struct(point), 2) } });
  const state = await load(fleet, "010203040506", fleet.create());
  assertEquals(state.ships, [{ x: 1, y: 2, z: 3 }, { x: 4, y: 5, z: 6 }]);
  assertEquals(described(fleet, state).fields, [
    { name: "ships", array_len: 2, type: "struct", struct: pointJson("x", "y", "z"), size: 3 },
  ]);
});

Deno.test("struct() says which state is missing", async () => {
  const fleet = vmstate("fleet", { fields: { ships: array(struct(point), 2) } });
  const state = { ships: [{ x: 1, y: 1, z: 1 }] } as {
    ships: { x: number; y: number; z: number }[];
  };
  state.ships.length = 2;
  const what = "fleet.ships[1] is undefined, not a state to ";
  assertThrows(() => saved(fleet, state), TypeError, what + "save");
  await assertRejects(() => load(fleet, "010203040506", state), TypeError, what + "load");
});

Deno.test("vstruct() sends and loads the version it was told", async () => {
  const ship = vmstate("ship", { fields: { at: vstruct(point, 2), end: uint8() } });
  const state = { at: { x: 1, y: 2, z: 3 }, end: 4 };
  assertEquals(saved(ship, state), "0102" + "04");
  assertEquals(await load(ship, "0708 09", state), { at: { x: 7, y: 8, z: 3 }, end: 9 });
  // QEMU writes what is inside between the field's own keys.
  assertEquals(described(ship, state).fields[0], {
    name: "at",
    type: "vstruct",
    ...pointJson("x", "y"),
    size: 2,
  });
  assertThrows(() => vstruct(point, 4), RangeError, "point has versions 0 to 3, not 4");
});

interface Door {
  closesAt: number;
}
const now = 1000;
const left = vmstate("door/left", { fields: { left: int32() } });
const door = vmstateOf<Door>("door", {
  fields: {
    $left: withTmp(left, {
      save: (door) => ({ left: door.closesAt - now }),
      load(door, { left }) {
        if (left < 0) throw new Error("The door closed before it opened");
        door.closesAt = now + left;
      },
    }),
  },
});

Deno.test("withTmp() sends what is computed and takes back what arrives", async () => {
  assertEquals(saved(door, { closesAt: 1500 }), "000001f4");
  assertEquals(await load(door, "00000064", { closesAt: 0 }), { closesAt: 1100 });
  assertEquals(described(door, { closesAt: 1500 }).fields, [{
    name: "tmp",
    type: "tmp",
    vmsd_name: "door/left",
    version: 1,
    fields: [{ name: "left", type: "int32", size: 4 }],
    size: 4,
  }]);
});

Deno.test("withTmp() passes on what its load refuses, with the place", async () => {
  await assertRejects(
    () => load(door, "ffffffff", { closesAt: 0 }),
    MigrationError,
    "door.tmp failed: The door closed before it opened (at offset 0x4)",
  );
});

Deno.test("withTmp() loads into what create makes", async () => {
  const check = vmstate("check", {
    fields: { size: uint32() },
    postLoad({ size }) {
      if (size > 7) throw new Error("too large");
    },
  });
  const made: object[] = [];
  const box = vmstate("box", {
    fields: {
      size: uint32(),
      $check: withTmp(check, {
        save: (box: { size: number }) => ({ size: box.size }),
        load: (_box, tmp) => void made.push(tmp),
        create: (box) => ({ size: box.size }),
      }),
    },
  });
  await load(box, "00000005 00000007", { size: 0 });
  assertEquals(made, [{ size: 7 }]);
  await assertRejects(
    () => load(box, "00000005 00000008", { size: 0 }),
    MigrationError,
    "box.tmp: postLoad failed: too large",
  );
});

Deno.test("withTmp() refuses a description that it would load in another version", () => {
  const options = { save: () => ({ x: 1, y: 1, z: 1 }), load: () => {} };
  assertThrows(
    () => withTmp(point, options),
    RangeError,
    'withTmp() loads point in version 0, which has no "y": set the field\'s since to fit',
  );
  withTmp(point, { ...options, since: 3 });
  assertThrows(
    () => withTmp(point, { ...options, since: 4 }),
    RangeError,
    "newer than its newest, 3",
  );
});
