// Most of what is tested here is tested by the compiler: a line after @ts-expect-error must not compile.
import { assertEquals, assertThrows } from "@std/assert";
import { array, nullable, varray } from "../../src/vmstate/arrays.ts";
import { bitmap, unused, vbuffer } from "../../src/vmstate/buffers.ts";
import { uint8Equal } from "../../src/vmstate/checked_scalars.ts";
import { gtreeDirectKey, qtailq } from "../../src/vmstate/lists.ts";
import { saveState } from "../../src/vmstate/save_state.ts";
import { bool, float64, uint32, uint64, uint8 } from "../../src/vmstate/scalars.ts";
import { struct, withTmp } from "../../src/vmstate/structs.ts";
import { at, validate } from "../../src/vmstate/unbound.ts";
import {
  MigrationPriority,
  type StateOf,
  type VMState,
  vmstate,
  type VMStateFor,
  vmstateOf,
} from "../../src/vmstate/vmstate.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { saved } from "./hex.ts";

/** Compiles only if the two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
function same<A, B>(_same: Same<A, B>): void {}

const point = vmstate("point", { fields: { x: float64(), y: float64() } });

class Vector {
  x = 0;
  y = 0;
  get length(): number {
    return Math.hypot(this.x, this.y);
  }
}
const vector = vmstate("vector", {
  create: () => new Vector(),
  fields: { x: float64(), y: float64() },
});

Deno.test("vmstate() infers the state from the fields", () => {
  const room = vmstate("room", {
    fields: {
      open: bool(),
      id: uint64(),
      at: struct(point),
      count: uint32(),
      scores: varray(uint32(), { count: "count", max: 9 }),
      spots: array(struct(point), 2),
      slots: array(nullable(struct(point)), 2),
      guests: qtailq(vector, { max: 9 }),
      byId: gtreeDirectKey({ value: point, max: 9 }),
      dirty: bitmap({ size: "count", max: 64 }),
      $spare: unused(4),
      $sane: validate((room: { count: number }) => room.count < 10),
    },
  });
  type Point = { x: number; y: number };
  same<StateOf<typeof room>, {
    open: boolean;
    id: bigint;
    at: Point;
    count: number;
    scores: Uint32Array;
    spots: readonly Point[];
    slots: (Point | null)[];
    guests: Vector[];
    byId: Map<bigint, Point>;
    dirty: BigUint64Array;
  }>(true);
  assertEquals(room.create(), {
    open: false,
    id: 0n,
    at: { x: 0, y: 0 },
    count: 0,
    scores: new Uint32Array(0),
    spots: [{ x: 0, y: 0 }, { x: 0, y: 0 }],
    slots: [null, null],
    guests: [],
    byId: new Map(),
    dirty: new BigUint64Array(0),
  });
});

Deno.test("vmstate() infers what is declared in place, too", () => {
  const car = vmstate("car", {
    fields: {
      wheels: array(
        struct(
          vmstate("wheel", { fields: { at: struct(vmstate("p", { fields: { x: uint8() } })) } }),
        ),
        4,
      ),
      guests: qtailq(
        vmstate("guest", { create: () => new Vector(), fields: { x: float64() } }),
        { max: 3 },
      ),
    },
  });
  same<StateOf<typeof car>, { wheels: readonly { at: { x: number } }[]; guests: Vector[] }>(true);
});

Deno.test("vmstate() takes the state from create, if there is one", () => {
  same<StateOf<typeof vector>, Vector>(true);
  assertEquals(vector.create().length, 0);
  vmstate("vector", {
    // @ts-expect-error: a Vector has no z
    create: () => new Vector(),
    fields: { x: float64(), z: float64() },
  });
});

Deno.test("vmstate() includes what the subsections describe", () => {
  const radio = vmstate("car/radio", { fields: { volume: uint8() }, needed: (s) => s.volume > 0 });
  const roof = vmstate("car/roof", { fields: { open: bool() } });
  const car = vmstate("car", {
    fields: { speed: uint32() },
    subsections: [radio, roof],
    postLoad(car) {
      car.volume = car.open ? 9 : car.speed;
    },
  });
  same<StateOf<typeof car>, { speed: number; volume: number; open: boolean }>(true);
  assertEquals(car.create(), { speed: 0, volume: 0, open: false });
});

Deno.test("vmstate() does not compile what contradicts itself", () => {
  vmstate("wrong", {
    fields: {
      cuont: uint32(),
      // @ts-expect-error: no property is called count
      scores: varray(uint32(), { count: "count", max: 9 }),
    },
  });
  vmstate("wrong", {
    fields: {
      count: uint64(),
      // @ts-expect-error: count is no number
      data: vbuffer({ size: "count", max: 9 }),
    },
  });
  vmstate("wrong", {
    fields: {
      a: uint8(),
      // @ts-expect-error: the predicate looks at a property that is not there
      b: uint8({ exists: (state: { c: number }) => state.c > 0 }),
    },
  });
  vmstate("wrong", {
    fields: {
      a: uint8(),
      // @ts-expect-error: the check looks at a property that is not there
      $sane: validate((state: { c: number }) => state.c > 0),
    },
  });
  vmstate("wrong", {
    fields: { a: uint8() },
    // @ts-expect-error: no property is called b
    preSave: (state) => state.b,
  });
  vmstate("wrong", {
    fields: { a: uint8() },
    // @ts-expect-error: a plain object is no Vector: that needs a create
    preSave: (state: Vector) => void state.length,
  });
  assertThrows(
    () =>
      vmstate("wrong", {
        fields: {
          a: uint8(),
          // @ts-expect-error: a property's field has no $ before its name
          $b: uint8(),
        },
      }),
    TypeError,
  );
  assertThrows(
    () =>
      vmstate("wrong", {
        fields: {
          a: uint8(),
          // @ts-expect-error: what is no property has a $ before its label
          spare: unused(4),
        },
      }),
    TypeError,
  );
});

class Room {
  readonly scores = new Uint32Array(2);
  readonly name = new Uint8Array(8);
  kind = 1;
  count = 0;
  open = false;
  steps = new Float64Array(0);
  guests: Vector[] = [];
  corners = [new Vector(), new Vector()];
  #secret = 7;

  reveal(): number {
    return this.#secret;
  }
}

Deno.test("vmstateOf() checks each field against a type and tells predicates and hooks of it", () => {
  const room = vmstateOf<Room>("room", {
    fields: {
      scores: array(uint32(), 2),
      kind: uint8Equal(),
      count: uint32({ exists: (room, version) => room.open && version > 0 }),
      steps: varray(float64(), { count: "count", max: 4, exists: (room) => room.reveal() === 7 }),
      guests: qtailq(vector, { max: 4 }),
      corners: array(struct(point), 2),
      $spare: unused(2, { exists: (room) => room.open }),
      $sane: validate((room) => room.reveal() === 7),
      $corner: at((room) => room.corners[0]!, "x", float64()),
      $sum: withTmp(point, {
        save: (room) => ({ x: room.count, y: 0 }),
        load: (room, sum) => void (room.count = sum.x),
      }),
    },
    preSave: (room) => void room.reveal(),
  });
  same<StateOf<typeof room>, Room>(true);
  saved(room, new Room());
});

Deno.test("vmstateOf() does not compile a field that the type does not have", () => {
  // @ts-expect-error: a misspelled name
  vmstateOf<Room>("room", { fields: { cuont: uint32() } });
  // @ts-expect-error: count is a number, not a bigint
  vmstateOf<Room>("room", { fields: { count: uint64() } });
  // @ts-expect-error: open is a boolean
  vmstateOf<Room>("room", { fields: { open: uint8() } });
  // @ts-expect-error: scores is a Uint32Array
  vmstateOf<Room>("room", { fields: { scores: array(uint8(), 2) } });
  // @ts-expect-error: no property is called cuont
  vmstateOf<Room>("room", { fields: { steps: varray(float64(), { count: "cuont", max: 4 }) } });
  // @ts-expect-error: guests are Vectors; a point's description makes plain objects
  vmstateOf<Room>("room", { fields: { guests: qtailq(point, { max: 4 }) } });
  // @ts-expect-error: corners have no z
  vmstateOf<Room>("room", { fields: { $z: at((room) => room.corners[0]!, "z", float64()) } });
  const other = vmstate("room/other", { fields: { other: uint8() } });
  // @ts-expect-error: the subsection is of another state
  vmstateOf<Room>("room", { fields: { count: uint32() }, subsections: [other] });
});

Deno.test("A description is of a type, and of types that have more", () => {
  const writer = new ByteWriter();
  saveState(writer, point, { x: 1, y: 2 });
  saveState(writer, point, new Vector());
  // @ts-expect-error: y is missing
  assertThrows(() => saveState(writer, point, { x: 1 }));
  // @ts-expect-error: x is a number
  assertThrows(() => saveState(writer, point, { x: "1", y: 2 }));
  const wider: VMStateFor<Vector> = point;
  assertEquals(wider.name, "point");
  // @ts-expect-error: it cannot make a Vector
  const makes: VMState<Vector> = point;
  assertEquals(makes.create(), { x: 0, y: 0 } as Vector);
  const opaque = vmstateOf<Vector>("opaque", { fields: { x: float64() } });
  assertThrows(
    // @ts-expect-error: nothing says how to make one
    () => qtailq(opaque, { max: 3 }),
    TypeError,
    "qtailq() has to make a opaque: declare its create",
  );
});

Deno.test("VMState.create() refuses what only the instance knows", () => {
  const storage = vmstate("storage", {
    fields: { used: uint32(), bytes: vbuffer({ size: "used" }) },
  });
  assertThrows(() => storage.create(), TypeError, "A storage cannot be made: declare its create");
});

Deno.test("A description has what QEMU's has beside its fields", () => {
  const plain = vmstate("plain", { fields: { a: uint8() } });
  assertEquals(
    [plain.version, plain.minimumVersion, plain.priority, plain.unmigratable, plain.earlySetup],
    [1, 0, MigrationPriority.DEFAULT, false, false],
  );
  assertEquals([plain.needed({ a: 0 }), plain.devUnplugPending({ a: 0 })], [true, false]);
  const special = vmstate("special", {
    version: 5,
    minimumVersion: 3,
    priority: MigrationPriority.PCI_BUS,
    unmigratable: "It is bolted down",
    earlySetup: true,
    needed: ({ a }) => a > 0,
    devUnplugPending: ({ a }) => a > 1,
    fields: { a: uint8() },
  });
  assertEquals([special.version, special.minimumVersion, special.priority], [5, 3, 2]);
  assertEquals([special.unmigratable, special.earlySetup], ["It is bolted down", true]);
  assertEquals([special.needed({ a: 0 }), special.needed({ a: 1 })], [false, true]);
  assertEquals(special.devUnplugPending({ a: 2 }), true);
});
