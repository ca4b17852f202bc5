import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { array, array2d, nullable, subArray, varray } from "../../src/vmstate/arrays.ts";
import {
  bool,
  float64,
  int32,
  int64,
  timer,
  uint16,
  uint32,
  uint64,
  uint8,
} from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import { vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

const point = vmstate("point", { fields: { x: uint8(), y: uint8() } });

Deno.test("array() of numbers is their bytes, big-endian, without a count", async () => {
  const description = vmstate("v", {
    fields: {
      bytes: array(uint8(), 2),
      halves: array(uint16(), 2),
      words: array(int32(), 2),
      longs: array(int64(), 2),
    },
  });
  const state = {
    bytes: new Uint8Array([1, 2]),
    halves: new Uint16Array([0x0304, 0x0506]),
    words: new Int32Array([0x0708090a, -1]),
    longs: new BigInt64Array([0x0b0c0d0e0f101112n, -2n]),
  };
  const bytes = "0102" + "03040506" + "0708090affffffff" + "0b0c0d0e0f101112fffffffffffffffe";
  assertEquals(saved(description, state), bytes);
  assertEquals(await load(description, bytes, description.create()), state);
  assertEquals(described(description, state).fields, [
    { name: "bytes", array_len: 2, type: "uint8", size: 1 },
    { name: "halves", array_len: 2, type: "uint16", size: 2 },
    { name: "words", array_len: 2, type: "int32", size: 4 },
    { name: "longs", array_len: 2, type: "int64", size: 8 },
  ]);
});

Deno.test("array() saves parts of larger storage without touching it", () => {
  const description = vmstate("v", { fields: { words: array(uint32(), 2) } });
  const storage = new Uint32Array([1, 2, 3, 4]);
  assertEquals(saved(description, { words: storage.subarray(1, 3) }), "0000000200000003");
  assertEquals([...storage], [1, 2, 3, 4]);
});

Deno.test("array() of one element is no array to the JSON, one of none is not there", () => {
  const description = vmstate("v", {
    fields: { one: array(uint16(), 1), none: array(uint16(), 0) },
  });
  assertEquals(described(description, description.create()).fields, [
    { name: "one", type: "uint16", size: 2 },
  ]);
});

Deno.test("array() of truth values and timers", async () => {
  const description = vmstate("v", { fields: { on: array(bool(), 3), at: array(timer(), 1) } });
  const state = { on: [true, false, true], at: new BigInt64Array([-1n]) };
  assertEquals(saved(description, state), "010001" + "ff".repeat(8));
  assertEquals(await load(description, "000102" + "00".repeat(8), description.create()), {
    on: [false, true, true],
    at: new BigInt64Array(1),
  });
});

Deno.test("array() refuses storage of another length or class", async () => {
  const description = vmstate("v", { fields: { words: array(uint32(), 2) } });
  const long = { words: new Uint32Array(3) };
  assertThrows(() => saved(description, long), TypeError, "v.words has 3 elements, not 2");
  await assertRejects(() => load(description, "00".repeat(8), long), TypeError, "v.words has 3");
  // The compiler refuses this; a program without types would do it.
  const other = { words: new Int32Array(2) } as unknown as { words: Uint32Array };
  assertThrows(
    () => saved(description, other),
    TypeError,
    "v.words is a value of Int32Array, not a Uint32Array",
  );
});

Deno.test("array() refuses an element with options of its own", () => {
  assertThrows(() => array(uint32({ since: 2 }), 3), TypeError, "belong to the array");
});

Deno.test("array2d() is row after row", async () => {
  const description = vmstate("v", { fields: { grid: array2d(uint8(), 2, 3) } });
  const state = await load(description, "010203040506", description.create());
  assertEquals([...state.grid], [1, 2, 3, 4, 5, 6]);
  assertEquals(described(description, state).fields[0]?.array_len, 6);
});

Deno.test("subArray() touches nothing but its elements", async () => {
  const description = vmstate("v", {
    fields: { words: subArray(uint16(), { start: 1, length: 2 }) },
  });
  const words = new Uint16Array([1, 2, 3, 4]);
  assertEquals(saved(description, { words }), "00020003");
  await load(description, "aaaabbbb", { words });
  assertEquals([...words], [1, 0xaaaa, 0xbbbb, 4]);
  const short = { words: new Uint16Array(2) };
  assertThrows(() => saved(description, short), TypeError, "has 2 elements, not at least 3");
});

Deno.test("varray() with max makes an array of the length that was loaded", async () => {
  for (
    const [count, width] of [[uint8(), 2], [uint16(), 4], [uint32(), 8], [int32(), 8]] as const
  ) {
    const description = vmstate("trail", {
      fields: { n: count, steps: varray(uint16(), { count: "n", max: 3 }) },
    });
    const state = { n: 2, steps: new Uint16Array([1, 2]) };
    const bytes = "2".padStart(width, "0") + "00010002";
    assertEquals(saved(description, state), bytes);
    assertEquals(await load(description, bytes, description.create()), state);
  }
});

Deno.test("varray() without max fills the storage up to the count", async () => {
  const description = vmstate("trail", {
    fields: { n: uint8(), steps: varray(uint16(), { count: "n", multiply: 2 }) },
  });
  const steps = new Uint16Array([9, 9, 9, 9]);
  assertEquals(saved(description, { n: 1, steps }), "01" + "00090009");
  const state = await load(description, "01 00010002", { n: 0, steps });
  assertEquals([...steps], [1, 2, 9, 9]);
  assertEquals(described(description, state).fields[1], {
    name: "steps",
    array_len: 2,
    type: "uint16",
    size: 2,
  });
});

Deno.test("varray() refuses hostile counts before it makes anything", async () => {
  const made = vmstate("trail", {
    fields: { n: int32(), steps: varray(uint64(), { count: "n", max: 3 }) },
  });
  const filled = vmstate("trail", {
    fields: { n: int32(), steps: varray(uint64(), { count: "n" }) },
  });
  for (const description of [made, filled]) {
    for (const hostile of ["00000004", "7fffffff", "ffffffff", "80000000"]) {
      const state = { n: 0, steps: new BigUint64Array(3) };
      const { steps } = state;
      await assertRejects(
        () => load(description, hostile + "00".repeat(64), state),
        StreamFormatError,
        "trail.steps is counted by n, which is ",
      );
      assertEquals(state.steps === steps, true, "the storage stays");
    }
  }
});

Deno.test("varray() refuses to save more than its storage or its max", () => {
  const description = vmstate("trail", {
    fields: { n: uint8(), steps: varray(uint8(), { count: "n", max: 3 }) },
  });
  const short = { n: 3, steps: new Uint8Array(2) };
  assertThrows(() => saved(description, short), RangeError, "has 2 elements, and n says 3");
  const long = { n: 4, steps: new Uint8Array(4) };
  assertThrows(() => saved(description, long), RangeError, "at most 3");
  const loose = vmstate("trail", {
    fields: { n: float64(), steps: varray(uint8(), { count: "n" }) },
  });
  const broken = { n: NaN, steps: new Uint8Array(4) };
  assertThrows(() => saved(loose, broken), RangeError, "counted by n, which is NaN");
});

Deno.test("varray() of structs makes what the description creates", async () => {
  class Vector {
    x = 0;
    y = 0;
    get length(): number {
      return Math.hypot(this.x, this.y);
    }
  }
  const vector = vmstateOf<Vector>("vector", {
    fields: { x: uint8(), y: uint8() },
    create: () => new Vector(),
  });
  const description = vmstate("trail", {
    fields: { n: uint8(), steps: varray(struct(vector), { count: "n", max: 3 }) },
  });
  const state = await load(description, "02 0304 0608", description.create());
  assertEquals(state.steps.map((step) => step.length), [5, 10]);
});

Deno.test("varray() refuses to promise elements that it cannot make", () => {
  const opaque = vmstateOf<{ x: number }>("opaque", { fields: { x: uint8() } });
  assertThrows(
    () => varray(struct(opaque), { count: "n", max: 3 }),
    TypeError,
    "Elements of n cannot be made here",
  );
});

Deno.test("nullable() sends the character 0 for what is not there", async () => {
  const description = vmstate("slots", {
    fields: { all: array(nullable(struct(point)), 3), late: array(nullable(timer()), 2) },
  });
  const state = () => ({ all: [null, { x: 1, y: 2 }, null], late: [5n, null] });
  const bytes = "30" + "0102" + "30" + "0000000000000005" + "30";
  assertEquals(saved(description, state()), bytes);
  const loaded = await load(description, "30" + "0708" + "30" + "00000000000000ff30", state());
  assertEquals(loaded, { all: [null, { x: 7, y: 8 }, null], late: [255n, null] });
});

Deno.test("nullable() refuses an element that is null here and not there", async () => {
  const description = vmstate("slots", { fields: { all: array(nullable(struct(point)), 2) } });
  await assertRejects(
    () => load(description, "01020304", { all: [{ x: 0, y: 0 }, null] }),
    IncompatibleError,
    "slots.all[1] is there in the stream and null here (at offset 0x2)",
  );
});
