/**
 * Numbers and truth values (wire-format §4.1; QEMU `migration/vmstate-types.c`).
 *
 * Numbers of up to 32 bits are numbers, those of 64 bits are bigints. Arrays of them are typed arrays,
 * which cross the wire as a whole. Saving refuses a number that its field does not hold.
 *
 * @module
 */
import type { ByteWriter } from "../wire/byte_writer.ts";
import { typedArrays, valueArrays } from "./collections.ts";
import { Element, type FieldOptions, fieldPlan } from "./field.ts";
import type { CollectionPlan, ElementPlan } from "./plan.ts";

/** A field of a number; an array of it is a typed array of class `A`. */
export type NumberField<S, A, Fresh = A> = Element<number, S, number, A, Fresh>;
/** A field of a 64-bit number; an array of it is a typed array of class `A`. */
export type BigintField<S, A, Fresh = A> = Element<bigint, S, bigint, A, Fresh>;

/** @internal A value of a fixed size of at most 8 bytes. */
export interface Scalar {
  readonly type: string;
  readonly size: number;
  readonly zero: unknown;
  readonly collection: CollectionPlan;
  /** Whether the value can be sent. */
  fits(value: unknown): boolean;
  /** What {@linkcode Scalar.fits} asks for, in words. */
  readonly range: string;
  put(writer: ByteWriter, value: never): void;
  get(view: DataView): unknown;
}

/** @internal The plan of a {@linkcode Scalar}. */
export function scalarPlan(scalar: Scalar): ElementPlan {
  const { type, size, zero, collection } = scalar;
  return {
    type,
    size,
    collection,
    create: () => zero,
    save(saving, value): undefined {
      if (!scalar.fits(value)) {
        throw saving.rangeError(`is ${String(value)}: ${type} is ${scalar.range}`);
      }
      scalar.put(saving.writer, value as never);
    },
    load(loading) {
      if (loading.ready(size)) return scalar.get(loading.take(size));
      return loading.need(size).then(() => scalar.get(loading.take(size)));
    },
  };
}

type Width = 1 | 2 | 4;

function smallInteger(
  size: Width,
  signed: boolean,
  array: Parameters<typeof typedArrays>[0],
): Scalar {
  const bits = size * 8;
  const min = signed ? -(2 ** (bits - 1)) : 0;
  const max = min + 2 ** bits - 1;
  const put: Record<Width, (writer: ByteWriter, value: number) => unknown> = {
    1: (writer, value) => writer.u8(value),
    2: (writer, value) => writer.be16(value),
    4: (writer, value) => writer.be32(value),
  };
  const get: Record<Width, (view: DataView) => number> = signed
    ? { 1: (view) => view.getInt8(0), 2: (view) => view.getInt16(0), 4: (view) => view.getInt32(0) }
    : {
      1: (view) => view.getUint8(0),
      2: (view) => view.getUint16(0),
      4: (view) => view.getUint32(0),
    };
  return {
    type: `${signed ? "" : "u"}int${bits}`,
    size,
    zero: 0,
    collection: typedArrays(array, true),
    fits: (value) =>
      typeof value === "number" && Number.isInteger(value) && value >= min && value <= max,
    range: `an integer from ${min} to ${max}`,
    put: put[size],
    get: get[size],
  };
}

function largeInteger(type: string, signed: boolean): Scalar {
  const asN = signed ? BigInt.asIntN : BigInt.asUintN;
  return {
    type,
    size: 8,
    zero: 0n,
    collection: typedArrays(signed ? BigInt64Array : BigUint64Array, true),
    fits: (value) => typeof value === "bigint" && asN(64, value) === value,
    range: `a bigint of 64 bits ${signed ? "with" : "without"} sign`,
    put: (writer, value: bigint) => writer.be64(value),
    get: signed ? (view) => view.getBigInt64(0) : (view) => view.getBigUint64(0),
  };
}

function floatingPoint(size: 4 | 8): Scalar {
  const bits = new DataView(new ArrayBuffer(8));
  return {
    // QEMU has no kind of its own for these: its descriptions send the bits of a float as an integer.
    type: size === 4 ? "uint32" : "uint64",
    size,
    zero: 0,
    collection: typedArrays(size === 4 ? Float32Array : Float64Array, true),
    fits: (value) => typeof value === "number",
    range: "the bits of a number",
    put: (writer, value: number) => {
      if (size === 4) {
        bits.setFloat32(0, value);
        writer.be32(bits.getUint32(0));
      } else {
        bits.setFloat64(0, value);
        writer.be64(bits.getBigUint64(0));
      }
    },
    get: size === 4 ? (view) => view.getFloat32(0) : (view) => view.getFloat64(0),
  };
}

const BOOL: Scalar = {
  type: "bool",
  size: 1,
  zero: false,
  collection: valueArrays(() => false),
  fits: (value) => typeof value === "boolean",
  range: "true or false",
  put: (writer, value: boolean) => writer.u8(value ? 1 : 0),
  get: (view) => view.getUint8(0) !== 0,
};

/** @internal The plain kinds, for those that check what they load (`checked_scalars.ts`). */
export const SCALARS = {
  int32: smallInteger(4, true, Int32Array),
  uint8: smallInteger(1, false, Uint8Array),
  uint16: smallInteger(2, false, Uint16Array),
  uint32: smallInteger(4, false, Uint32Array),
  uint64: largeInteger("uint64", false),
} as const;

const plans = {
  bool: scalarPlan(BOOL),
  int8: scalarPlan(smallInteger(1, true, Int8Array)),
  int16: scalarPlan(smallInteger(2, true, Int16Array)),
  int32: scalarPlan(SCALARS.int32),
  int64: scalarPlan(largeInteger("int64", true)),
  uint8: scalarPlan(SCALARS.uint8),
  uint16: scalarPlan(SCALARS.uint16),
  uint32: scalarPlan(SCALARS.uint32),
  uint64: scalarPlan(SCALARS.uint64),
  float32: scalarPlan(floatingPoint(4)),
  float64: scalarPlan(floatingPoint(8)),
  timer: scalarPlan(largeInteger("timer", true)),
  cpuDouble: scalarPlan(largeInteger("CPU_Double_U", false)),
};

function element<In, S, Out, Fixed, Fresh>(
  plan: ElementPlan,
  options: FieldOptions<S>,
): Element<In, S, Out, Fixed, Fresh> {
  return new Element(fieldPlan(plan, options));
}

/** A boolean: one byte. Any byte but 0 is true. */
export function bool<S = unknown>(
  options: FieldOptions<S> = {},
): Element<boolean, S, boolean, boolean[], boolean[]> {
  return element(plans.bool, options);
}

/** A number of 8 bits with sign. */
export function int8<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Int8Array, Int8Array<ArrayBuffer>> {
  return element(plans.int8, options);
}

/** A number of 16 bits with sign. */
export function int16<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Int16Array, Int16Array<ArrayBuffer>> {
  return element(plans.int16, options);
}

/** A number of 32 bits with sign. */
export function int32<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Int32Array, Int32Array<ArrayBuffer>> {
  return element(plans.int32, options);
}

/** A bigint of 64 bits with sign. */
export function int64<S = unknown>(
  options: FieldOptions<S> = {},
): BigintField<S, BigInt64Array, BigInt64Array<ArrayBuffer>> {
  return element(plans.int64, options);
}

/** A number of 8 bits. For many of them, `buffer()` is the same bytes in one piece. */
export function uint8<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Uint8Array, Uint8Array<ArrayBuffer>> {
  return element(plans.uint8, options);
}

/** A number of 16 bits. */
export function uint16<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Uint16Array, Uint16Array<ArrayBuffer>> {
  return element(plans.uint16, options);
}

/** A number of 32 bits. */
export function uint32<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Uint32Array, Uint32Array<ArrayBuffer>> {
  return element(plans.uint32, options);
}

/** A bigint of 64 bits. */
export function uint64<S = unknown>(
  options: FieldOptions<S> = {},
): BigintField<S, BigUint64Array, BigUint64Array<ArrayBuffer>> {
  return element(plans.uint64, options);
}

/**
 * A number in single precision, as the bits of a `uint32`. A number with more precision is rounded; an
 * array keeps the bits of a NaN, a single value may not.
 */
export function float32<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Float32Array, Float32Array<ArrayBuffer>> {
  return element(plans.float32, options);
}

/**
 * A number, as the bits of a `uint64`. An array keeps the bits of a NaN, a single value may not.
 */
export function float64<S = unknown>(
  options: FieldOptions<S> = {},
): NumberField<S, Float64Array, Float64Array<ArrayBuffer>> {
  return element(plans.float64, options);
}

/** A timer that is not armed, as a {@linkcode timer} holds it. */
export const TIMER_NOT_ARMED: bigint = -1n;

/**
 * When a timer expires: nanoseconds of the clock it belongs to, or {@linkcode TIMER_NOT_ARMED}. Arming a
 * real timer with it is `postLoad`'s work.
 */
export function timer<S = unknown>(
  options: FieldOptions<S> = {},
): BigintField<S, BigInt64Array, BigInt64Array<ArrayBuffer>> {
  return element(plans.timer, options);
}

/** The 64 bits of a double as QEMU's CPUs keep them (`CPU_DoubleU`): its upper half comes first. */
export function cpuDouble<S = unknown>(
  options: FieldOptions<S> = {},
): BigintField<S, BigUint64Array, BigUint64Array<ArrayBuffer>> {
  return element(plans.cpuDouble, options);
}
