/**
 * Kinds of value that this room does not know: an embedder's own encoding (QEMU's `VMStateInfo`).
 *
 * @module
 */
import type { ByteReader } from "../wire/byte_reader.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import { Element, type FieldOptions, fieldPlan } from "./field.ts";
import { valueArrays } from "./collections.ts";
import type { ElementPlan } from "./plan.ts";

/**
 * How a value crosses the wire. Both sides must agree on it: nothing in the stream says how long it is.
 *
 * @example
 * ```ts
 * const color: Codec<[number, number, number]> = {
 *   type: "color",
 *   size: 3,
 *   save: (writer, [r, g, b]) => void writer.u8(r).u8(g).u8(b),
 *   load: async (reader, _, path) => [
 *     await reader.u8(path),
 *     await reader.u8(path),
 *     await reader.u8(path),
 *   ],
 * };
 * ```
 */
export interface Codec<T> {
  /** The kind's name in the JSON description. */
  readonly type: string;
  /** Bytes on the wire, if they are always as many. @default {0: they vary} */
  readonly size?: number;
  /** Makes a value to load into where there is none yet: an element of a list, say. */
  readonly create?: () => T;
  /** Appends the value. */
  save(writer: ByteWriter, value: T): void;
  /**
   * Reads a value. Whatever it reads may be hostile: cap a length before allocating.
   * @param reader Where the bytes come from.
   * @param current What the state holds: fill it and return it, or return a new value.
   * @param path Where in the state this is, for messages.
   */
  load(reader: ByteReader, current: T, path: string): T | Promise<T>;
}

/**
 * A value with an encoding of its own. An array of it is an `Array`.
 * @param codec The encoding.
 */
export function custom<T, S = unknown>(
  codec: Codec<T>,
  options: FieldOptions<S> = {},
): Element<T, S, T, T[], T[]> {
  const { create } = codec;
  const element: ElementPlan = {
    type: codec.type,
    size: codec.size ?? 0,
    collection: valueArrays(create),
    ...(create ? { create } : {}),
    save(saving, value): undefined {
      try {
        codec.save(saving.writer, value as T);
      } catch (thrown) {
        throw saving.failed("", thrown);
      }
    },
    async load(loading, current) {
      try {
        return await codec.load(loading.reader, current as T, loading.path.toString());
      } catch (thrown) {
        throw loading.failed("", thrown);
      }
    },
  };
  return new Element(fieldPlan(element, options));
}
