import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { array } from "../../src/vmstate/arrays.ts";
import * as scalars from "../../src/vmstate/scalars.ts";
import { type VMState, vmstate } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

/** One field, its values, their bytes and its name in the JSON. */
interface Vector<T> {
  readonly description: VMState<{ value: T }>;
  readonly type: string;
  readonly values: readonly (readonly [T, string])[];
  /** What cannot be sent. */
  readonly refused: readonly T[];
}

const numbers: Record<string, Vector<number>> = {
  int8: {
    description: vmstate("v", { fields: { value: scalars.int8() } }),
    type: "int8",
    values: [[0, "00"], [127, "7f"], [-1, "ff"], [-128, "80"]],
    refused: [128, -129, 0.5, NaN],
  },
  int16: {
    description: vmstate("v", { fields: { value: scalars.int16() } }),
    type: "int16",
    values: [[0x1234, "1234"], [-2, "fffe"], [-32768, "8000"]],
    refused: [32768, -32769, Infinity],
  },
  int32: {
    description: vmstate("v", { fields: { value: scalars.int32() } }),
    type: "int32",
    values: [[0x12345678, "12345678"], [-2, "fffffffe"], [-(2 ** 31), "80000000"]],
    refused: [2 ** 31, -(2 ** 31) - 1],
  },
  uint8: {
    description: vmstate("v", { fields: { value: scalars.uint8() } }),
    type: "uint8",
    values: [[0, "00"], [255, "ff"]],
    refused: [256, -1, 1.5],
  },
  uint16: {
    description: vmstate("v", { fields: { value: scalars.uint16() } }),
    type: "uint16",
    values: [[0x0102, "0102"], [65535, "ffff"]],
    refused: [65536, -1],
  },
  uint32: {
    description: vmstate("v", { fields: { value: scalars.uint32() } }),
    type: "uint32",
    values: [[0x01020304, "01020304"], [2 ** 32 - 1, "ffffffff"]],
    refused: [2 ** 32, -1, NaN],
  },
  float32: {
    description: vmstate("v", { fields: { value: scalars.float32() } }),
    type: "uint32",
    values: [[1, "3f800000"], [-2.5, "c0200000"], [Infinity, "7f800000"]],
    refused: [],
  },
  float64: {
    description: vmstate("v", { fields: { value: scalars.float64() } }),
    type: "uint64",
    values: [[1, "3ff0000000000000"], [-0, "8000000000000000"], [0.1, "3fb999999999999a"]],
    refused: [],
  },
};

const bigints: Record<string, Vector<bigint>> = {
  int64: {
    description: vmstate("v", { fields: { value: scalars.int64() } }),
    type: "int64",
    values: [[1n, "0000000000000001"], [-2n, "fffffffffffffffe"]],
    refused: [2n ** 63n, -(2n ** 63n) - 1n],
  },
  uint64: {
    description: vmstate("v", { fields: { value: scalars.uint64() } }),
    type: "uint64",
    values: [[0x0102030405060708n, "0102030405060708"], [2n ** 64n - 1n, "ffffffffffffffff"]],
    refused: [2n ** 64n, -1n],
  },
  timer: {
    description: vmstate("v", { fields: { value: scalars.timer() } }),
    type: "timer",
    values: [[1_000_000_000n, "000000003b9aca00"], [scalars.TIMER_NOT_ARMED, "ffffffffffffffff"]],
    refused: [2n ** 63n],
  },
  cpuDouble: {
    description: vmstate("v", { fields: { value: scalars.cpuDouble() } }),
    type: "CPU_Double_U",
    values: [[0x3ff0000000000001n, "3ff0000000000001"]],
    refused: [-1n],
  },
};

const bools: Record<string, Vector<boolean>> = {
  bool: {
    description: vmstate("v", { fields: { value: scalars.bool() } }),
    type: "bool",
    values: [[false, "00"], [true, "01"]],
    refused: [],
  },
};

function testVectors<T>(vectors: Record<string, Vector<T>>): void {
  for (const [name, { description, type, values, refused }] of Object.entries(vectors)) {
    Deno.test(`${name}() is QEMU's bytes in both directions`, async () => {
      for (const [value, bytes] of values) {
        assertEquals(saved(description, { value }), bytes);
        assertEquals(await load(description, bytes, description.create()), { value });
      }
      const [[value, bytes]] = values as [readonly [T, string]];
      const [field] = described(description, { value }).fields;
      assertEquals(field, { name: "value", type, size: bytes.length / 2 });
    });
    if (refused.length > 0) {
      Deno.test(`${name}() refuses to save what it does not hold`, () => {
        for (const value of refused) {
          assertThrows(() => saved(description, { value }), RangeError, "v.value is ");
        }
      });
    }
  }
}

testVectors(numbers);
testVectors(bigints);
testVectors(bools);

Deno.test("bool() takes any byte but 0 for true", async () => {
  const { description } = bools.bool!;
  assertEquals(await load(description, "80", { value: false }), { value: true });
});

Deno.test("A scalar says where the stream ended", async () => {
  const error = await assertRejects(
    () => load(numbers.uint32!.description, "0102", { value: 0 }),
    ConnectionLostError,
    "The stream ended inside v.value: 2 of 4 bytes",
  );
  assertEquals((error as ConnectionLostError).place.offset, 0);
});

Deno.test("Arrays of floats keep the bits of a NaN", async () => {
  const description = vmstate("v", {
    fields: { singles: array(scalars.float32(), 2), doubles: array(scalars.float64(), 1) },
  });
  const bytes = "7fc01234ffa00001" + "7ff4000000000001";
  assertEquals(saved(description, await load(description, bytes, description.create())), bytes);
});

Deno.test("TIMER_NOT_ARMED is what QEMU sends for a timer that is not armed", async () => {
  const { description } = bigints.timer!;
  const { value } = await load(description, "ff".repeat(8), { value: 0n });
  assertEquals(value, scalars.TIMER_NOT_ARMED);
});
