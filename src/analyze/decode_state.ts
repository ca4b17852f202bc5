/**
 * Decodes a device section by its description, as QEMU's `scripts/analyze-migration.py` does: fields in
 * order, each of its described size, then the subsections that are described.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { ElementType } from "../wire/section.ts";
import type { DescribedField, DescribedState } from "./description.ts";
import type { StreamInput } from "./input.ts";
import { StateInteger, type StateStruct, type StateValue } from "./state_value.ts";

/** The most that one device holds, in bytes: the largest seen is a graphics card's of some 20 MiB. */
export const DEVICE_SIZE_MAX = 256 * 1024 * 1024;
/** QEMU's largest devices have some ten thousand values. */
const VALUES_MAX = 4 * 1024 * 1024;
/** Values that take no byte of the stream: nothing else bounds them. */
const EMPTY_VALUES_MAX = 65_536;
/** The widest integer that is printed as a number, in bytes. */
const INTEGER_SIZE_MAX = 16;

const SIGNED: ReadonlySet<string> = new Set([
  ...["int8", "int16", "int32", "int64", "int32 equal", "int32 le"],
  // The name says otherwise, but QEMU's script reads these so.
  ...["int64 equal", "uint8 equal", "uint16 equal"],
]);
const UNSIGNED: ReadonlySet<string> = new Set([
  ...["uint8", "uint16", "uint32", "uint64", "uint32 equal"],
]);
/** What a pointer to nothing is in the stream. */
const NULL_MARKER = 0x30;

/**
 * Decodes what stands next in the stream.
 * @param input At the section's first byte; left after its last.
 * @param described What the description says of it.
 * @param into Gets the values as they are decoded: what was understood before an error stays in it.
 * @throws {StreamFormatError} If the stream and the description do not fit.
 * @throws {ConnectionLostError} If the stream ends inside.
 */
export function decodeState(
  input: StreamInput,
  described: DescribedState,
  into: StateStruct = new Map(),
): StateStruct {
  const decoder = new Decoder(input);
  decoder.struct(described, into, "");
  return into;
}

class Decoder {
  readonly #start: number;
  #values = 0;
  #emptyValues = 0;

  constructor(private readonly input: StreamInput) {
    this.#start = input.position;
  }

  struct({ fields, subsections }: DescribedState, into: StateStruct, path: string): void {
    for (const field of fields) {
      const where = `${path}${field.name}`;
      // A run of no elements has one for QEMU's script; QEMU writes none.
      const length = Math.max(1, field.arrayLength ?? 1);
      for (let i = 0; i < length; i++) {
        const start = this.input.position;
        if (field.struct) {
          const struct: StateStruct = new Map();
          add(into, field.name, struct);
          this.struct(field.struct, struct, length > 1 ? `${where}[${i}].` : `${where}.`);
        } else add(into, field.name, this.#field(field, where));
        this.#count(this.input.position === start, where);
      }
    }
    for (const subsection of subsections) {
      const offset = this.input.position;
      if (this.input.peek() !== ElementType.SUBSECTION) {
        this.#refuse(`${path}${subsection.name} is described and missing`, offset);
      }
      this.input.at++;
      const name = this.input.countedString("a subsection's name");
      if (name !== subsection.name) {
        this.#refuse(`Subsection "${name}" where "${subsection.name}" is described`, offset);
      }
      this.input.be32("a subsection's version");
      const struct: StateStruct = new Map();
      into.set(name, struct);
      this.struct(subsection, struct, `${name}.`);
    }
  }

  #count(empty: boolean, where: string): void {
    if (empty) this.#emptyValues++;
    if (++this.#values <= VALUES_MAX && this.#emptyValues <= EMPTY_VALUES_MAX) return;
    this.#refuse(`${where} is described with too many values`);
  }

  #field({ type, size }: DescribedField, where: string): StateValue {
    const { input } = this;
    if (type === "capability") return input.countedString(where);
    const offset = input.position;
    if (offset - this.#start + size > DEVICE_SIZE_MAX) {
      this.#refuse(`${where} is described with ${size} bytes: too much for a device`);
    }
    if (SIGNED.has(type)) return this.#integer(size, true, where);
    if (UNSIGNED.has(type)) return this.#integer(size, false, where);
    if (type !== "bool" && type !== "nullptr") return input.take(size, DEVICE_SIZE_MAX, where);
    if (size !== 1) this.#refuse(`${where} is described as a ${type} of ${size} bytes`);
    const byte = input.u8(where);
    if (type === "bool") return byte !== 0;
    if (byte !== NULL_MARKER) {
      this.#refuse(`${where} is described as nothing, and is 0x${byte.toString(16)}`, offset);
    }
    return null;
  }

  #integer(size: number, signed: boolean, where: string): StateInteger {
    if (size < 1 || size > INTEGER_SIZE_MAX) {
      this.#refuse(`${where} is described as an integer of ${size} bytes`);
    }
    this.input.need(size, where);
    let value = 0n;
    for (let i = 0; i < size; i++) value = value << 8n | BigInt(this.input.bytes[this.input.at++]!);
    return new StateInteger(signed ? BigInt.asIntN(8 * size, value) : value, size);
  }

  #refuse(why: string, offset = this.input.position): never {
    throw new StreamFormatError(why, { place: { offset } });
  }
}

/** Several values of one name become a list. */
function add(into: StateStruct, name: string, value: StateValue): void {
  const before = into.get(name);
  if (before === undefined) into.set(name, value);
  else if (Array.isArray(before)) before.push(value);
  else into.set(name, [before, value]);
}
