/**
 * Bytes and bits: buffers of fixed and variable size, text, bitmaps, and space that is not used any
 * more (wire-format §4.1; QEMU `migration/vmstate-types.c`).
 *
 * @module
 */
import { decodeText } from "../wire/byte_reader.ts";
import { typedArrays, valueArrays } from "./collections.ts";
import {
  checkedInteger,
  Element,
  Field,
  type FieldOptions,
  fieldPlan,
  UnboundField,
} from "./field.ts";
import { loadNumbers, saveNumbers } from "./number_arrays.ts";
import { type Amount, type ElementPlan, kindOf } from "./plan.ts";

/** Where the size of a value stands, and what limits it. */
export interface SizeOptions<K extends string> {
  /** The property that holds the size; a field before this one if the stream is to say it. */
  readonly size: K;
  /** What the property is multiplied by. @default {1} */
  readonly multiply?: number;
  /**
   * The most that is accepted. With it loading makes a new array of the right size; without it loading
   * fills the one that is there, and its length is the limit.
   */
  readonly max?: number;
}

/** @internal What {@linkcode SizeOptions} become. */
export function amountPlan(
  property: string,
  options: { readonly multiply?: number; readonly max?: number },
): Amount {
  const { multiply = 1, max } = options;
  return {
    property,
    multiply: checkedInteger(multiply, "multiply"),
    max: max === undefined ? undefined : checkedInteger(max, "max"),
  };
}

const bytes = typedArrays(Uint8Array, false);

/** Bytes `start` to `start + size` of a Uint8Array. */
function bufferPlan(start: number, length: number, exact: boolean): ElementPlan {
  const wanted = start + length;
  const check = (value: unknown, size: number, fail: (what: string) => Error): Uint8Array => {
    if (!(value instanceof Uint8Array)) throw fail(`is ${kindOf(value)}, not ${bytes.name}`);
    if (exact ? value.length !== wanted : value.length < start + size) {
      throw fail(`has ${value.length} bytes, not ${exact ? "" : "at least "}${start + size}`);
    }
    return value.subarray(start, start + size);
  };
  return {
    type: "buffer",
    size: length,
    collection: bytes,
    create: () => new Uint8Array(wanted),
    capacity: (value) => value instanceof Uint8Array ? value.length : 0,
    save(saving, value, size): undefined {
      saving.writer.bytes(check(value, size, (what) => saving.typeError(what)));
    },
    load(loading, current, size) {
      const part = check(current, size, (what) => loading.typeError(what));
      const waited = loading.fill(part);
      return waited ? waited.then(() => current) : current;
    },
  };
}

/**
 * Bytes.
 * @param length How many; the property is a Uint8Array of that length.
 */
export function buffer<S = unknown>(
  length: number,
  options: FieldOptions<S> = {},
): Element<Uint8Array, S, never, readonly Uint8Array[], Uint8Array[]> {
  const plan = bufferPlan(0, checkedInteger(length, "length"), true);
  return new Element(fieldPlan(
    { ...plan, collection: valueArrays(plan.create) },
    options,
  ));
}

/**
 * A part of a buffer; the rest is not sent.
 * @param part Where it starts and how long it is, in bytes; the property is a Uint8Array that has it.
 */
export function partialBuffer<S = unknown>(
  part: { readonly start?: number; readonly length: number },
  options: FieldOptions<S> = {},
): Field<Uint8Array, S, never> {
  const { start = 0, length } = part;
  checkedInteger(start, "start");
  return new Field(fieldPlan(bufferPlan(start, checkedInteger(length, "length"), false), options));
}

/**
 * Bytes, as many as another property says.
 *
 * @example
 * ```ts
 * vmstate("mailbox", { fields: { used: uint32(), letters: vbuffer({ size: "used", max: 65536 }) } });
 * ```
 */
export function vbuffer<const K extends string, S = unknown>(
  options: FieldOptions<S> & SizeOptions<K> & { readonly max: number },
): Field<Uint8Array, S & Record<K, number>, Uint8Array<ArrayBuffer>>;
/** Bytes, as many as another property says, in a Uint8Array that is there already. */
export function vbuffer<const K extends string, S = unknown>(
  options: FieldOptions<S> & SizeOptions<K>,
): Field<Uint8Array, S & Record<K, number>, never>;
export function vbuffer<const K extends string, S = unknown>(
  options: FieldOptions<S> & SizeOptions<K>,
): Field<Uint8Array, S & Record<K, number>, Uint8Array<ArrayBuffer>> {
  const sizeBy = amountPlan(options.size, options);
  const plan = bufferPlan(0, 0, false);
  const { create, ...rest } = plan;
  return new Field(
    fieldPlan(sizeBy.max === undefined ? rest : { ...rest, create: create! }, options, {
      sizeBy,
    }),
  );
}

/**
 * Text in a buffer of fixed size, UTF-8, filled up with zero bytes. It may use the whole buffer. What
 * follows the first zero byte is dropped when loading.
 * @param length Of the buffer, in bytes.
 */
export function text<S = unknown>(
  length: number,
  options: FieldOptions<S> = {},
): Element<string, S, string, string[], string[]> {
  checkedInteger(length, "length");
  const empty = () => "";
  const finish = (loaded: Uint8Array, path: string, offset: number): string => {
    const end = loaded.indexOf(0);
    return decodeText(end < 0 ? loaded : loaded.subarray(0, end), path, offset);
  };
  return new Element(fieldPlan({
    type: "buffer",
    size: length,
    collection: valueArrays(empty),
    create: empty,
    save(saving, value): undefined {
      if (typeof value !== "string") throw saving.typeError(`is ${kindOf(value)}, not text`);
      const encoded = new TextEncoder().encode(value);
      if (encoded.length > length || encoded.includes(0)) {
        throw saving.rangeError(
          `is ${encoded.length} bytes of text: at most ${length}, none of them zero, can be sent`,
        );
      }
      saving.writer.bytes(encoded).zeros(length - encoded.length);
    },
    async load(loading) {
      const offset = loading.reader.position;
      const loaded = new Uint8Array(length);
      await loading.fill(loaded);
      return finish(loaded, loading.path.toString(), offset);
    },
  }, options));
}

const bitmapPlan: ElementPlan = {
  type: "bitmap",
  size: 0,
  collection: {
    ...typedArrays(BigUint64Array, false),
    create: (bits) => new BigUint64Array(Math.ceil(bits / 64)),
  },
  create: () => new BigUint64Array(0),
  capacity: (value) => value instanceof BigUint64Array ? value.length * 64 : 0,
  save(saving, value, bits): undefined {
    const words = Math.ceil(bits / 64);
    if (!(value instanceof BigUint64Array) || value.length < words) {
      throw saving.typeError(`is not a BigUint64Array of ${words} words`);
    }
    saveNumbers(saving.writer, value, 0, words);
  },
  load(loading, current, bits) {
    if (!(current instanceof BigUint64Array)) {
      throw loading.typeError(`is ${kindOf(current)}, not a BigUint64Array`);
    }
    const waited = loadNumbers(loading, current, 0, Math.ceil(bits / 64));
    return waited ? waited.then(() => current) : current;
  },
};

/**
 * Bits: bit `i` is bit `i % 64` of word `i / 64`. The property is a BigUint64Array.
 * @param options `size` names the property with the number of bits; `max` is in bits, too.
 */
export function bitmap<const K extends string, S = unknown>(
  options: FieldOptions<S> & SizeOptions<K> & { readonly max: number },
): Field<BigUint64Array, S & Record<K, number>, BigUint64Array<ArrayBuffer>>;
/** Bits in a BigUint64Array that is there already. */
export function bitmap<const K extends string, S = unknown>(
  options: FieldOptions<S> & SizeOptions<K>,
): Field<BigUint64Array, S & Record<K, number>, never>;
export function bitmap<const K extends string, S = unknown>(
  options: FieldOptions<S> & SizeOptions<K>,
): Field<BigUint64Array, S & Record<K, number>, BigUint64Array<ArrayBuffer>> {
  const sizeBy = amountPlan(options.size, options);
  const { create, ...rest } = bitmapPlan;
  return new Field(
    fieldPlan(sizeBy.max === undefined ? rest : { ...rest, create: create! }, options, {
      sizeBy,
    }),
  );
}

function unusedPlan(length: number): ElementPlan {
  return {
    type: "unused_buffer",
    size: checkedInteger(length, "length"),
    collection: valueArrays(undefined),
    save: (saving): undefined => void saving.writer.zeros(length),
    load: (loading) => loading.skip(length),
  };
}

/**
 * Bytes that older versions used for something: zeros when saved, ignored when loaded.
 * @param length How many.
 */
export function unused<S = unknown>(
  length: number,
  options: FieldOptions<S> = {},
): UnboundField<S> {
  const named = { name: "unused", ...options };
  return new UnboundField(fieldPlan(unusedPlan(length), named, { source: "nothing" }));
}

/**
 * Bytes that older versions used for an array: zeros when saved, ignored when loaded.
 * @param options `count` names the property with the number of elements, `size` is that of one, in bytes.
 */
export function unusedVarray<const K extends string, S = unknown>(
  options: FieldOptions<S> & { readonly count: K; readonly size: number },
): UnboundField<S & Record<K, number>> {
  const named = { name: "unused", ...options };
  return new UnboundField(fieldPlan(unusedPlan(options.size), named, {
    source: "nothing",
    shape: { kind: "counted", ...amountPlan(options.count, {}) },
  }));
}
