/**
 * Numbers that must agree with what the destination already has (wire-format §4.1; QEMU
 * `migration/vmstate-types.c`, the `equal` and `le` kinds).
 *
 * @module
 */
import { Element, type FieldOptions, fieldPlan } from "./field.ts";
import type { ElementPlan } from "./plan.ts";
import { type Scalar, scalarPlan, SCALARS } from "./scalars.ts";

/** What an `equal` field can be declared with. */
export interface EqualOptions<S = unknown> extends FieldOptions<S> {
  /** What the user can try if the values differ. */
  readonly hint?: string;
}

function equalPlan(scalar: Scalar, type: string, hint: string | undefined): ElementPlan {
  const plain = scalarPlan({ ...scalar, type });
  // Each element is compared, so arrays are not loaded as a whole.
  const collection = { ...plain.collection, bulk: 0 };
  return {
    ...plain,
    collection,
    async load(loading, current, size) {
      const offset = loading.reader.position;
      const loaded = await plain.load(loading, current, size);
      if (loaded !== current) {
        throw loading.incompatible(
          `is ${String(loaded)} there and ${String(current)} here; it must be the same`,
          offset,
          hint,
        );
      }
      return current;
    },
  };
}

function equal<In, S, A>(scalar: Scalar, type: string, options: EqualOptions<S>) {
  return new Element<In, S, never, A, never>(
    fieldPlan(equalPlan(scalar, type, options.hint), options),
  );
}

/** A number of 8 bits that must be the same on both sides; loading compares and changes nothing. */
export function uint8Equal<S = unknown>(
  options: EqualOptions<S> = {},
): Element<number, S, never, Uint8Array, never> {
  return equal(SCALARS.uint8, "uint8 equal", options);
}

/** A number of 16 bits that must be the same on both sides; loading compares and changes nothing. */
export function uint16Equal<S = unknown>(
  options: EqualOptions<S> = {},
): Element<number, S, never, Uint16Array, never> {
  return equal(SCALARS.uint16, "uint16 equal", options);
}

/** A number of 32 bits that must be the same on both sides; loading compares and changes nothing. */
export function uint32Equal<S = unknown>(
  options: EqualOptions<S> = {},
): Element<number, S, never, Uint32Array, never> {
  return equal(SCALARS.uint32, "uint32 equal", options);
}

/**
 * A number of 32 bits with sign that must be the same on both sides; loading compares and changes
 * nothing.
 */
export function int32Equal<S = unknown>(
  options: EqualOptions<S> = {},
): Element<number, S, never, Int32Array, never> {
  return equal(SCALARS.int32, "int32 equal", options);
}

/**
 * A bigint of 64 bits that must be the same on both sides; loading compares and changes nothing. Its
 * name in the JSON is QEMU's slip: `int64 equal`.
 */
export function uint64Equal<S = unknown>(
  options: EqualOptions<S> = {},
): Element<bigint, S, never, BigUint64Array, never> {
  return equal(SCALARS.uint64, "int64 equal", options);
}

/**
 * A number of 32 bits that loading accepts from 0 up to what the destination has: a length in storage
 * that is there already.
 */
export function int32PositiveLe<S = unknown>(
  options: FieldOptions<S> = {},
): Element<number, S, number, Int32Array, never> {
  const plain = scalarPlan({ ...SCALARS.int32, type: "int32 le" });
  return new Element(fieldPlan({
    ...plain,
    collection: { ...plain.collection, bulk: 0 },
    async load(loading, current, size) {
      const offset = loading.reader.position;
      const loaded = await plain.load(loading, current, size) as number;
      if (!(loaded >= 0 && loaded <= (current as number))) {
        throw loading.formatError(
          `is ${loaded}: 0 to ${String(current)} fit what is here`,
          offset,
        );
      }
      return loaded;
    },
  }, options));
}
