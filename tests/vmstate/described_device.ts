/**
 * Makes a description from what a QEMU said of a device in its JSON description: a way to load sections
 * of devices that nobody declared here.
 *
 * @module
 */
import { array } from "../../src/vmstate/arrays.ts";
import { buffer, unused } from "../../src/vmstate/buffers.ts";
import { type Codec, custom } from "../../src/vmstate/codec.ts";
import type { ArrayElement, Field, UnboundField } from "../../src/vmstate/field.ts";
import * as scalars from "../../src/vmstate/scalars.ts";
import { struct, withTmp } from "../../src/vmstate/structs.ts";
import { type VMState, vmstate } from "../../src/vmstate/vmstate.ts";
import type { FieldJson, VmsdJson } from "../../src/vmstate/vmsd_json.ts";

type State = Record<string, unknown>;

/** The fields are known when the program runs only: there is nothing for the compiler to check. */
const declare = vmstate as unknown as (name: string, declaration: object) => VMState<State>;

const SCALARS: Readonly<Record<string, () => ArrayElement<never, unknown>>> = {
  bool: scalars.bool,
  int8: scalars.int8,
  int16: scalars.int16,
  int32: scalars.int32,
  int64: scalars.int64,
  uint8: scalars.uint8,
  uint16: scalars.uint16,
  uint32: scalars.uint32,
  uint64: scalars.uint64,
  timer: scalars.timer,
  CPU_Double_U: scalars.cpuDouble,
};

/**
 * Makes the description.
 * @param json What QEMU said. A list's elements are not in it one by one: devices with lists cannot be
 * loaded this way.
 */
export function descriptionOf(json: VmsdJson): VMState<State> {
  const fields: Record<string, Field | UnboundField> = {};
  for (let i = 0; i < json.fields.length; i++) {
    const first = json.fields[i]!;
    let length = first.array_len;
    if (first.index === 0) {
      // Elements that may differ: as many as follow, of which QEMU 10's last has no index.
      length = 1;
      while (json.fields[i + 1]?.name === first.name) {
        i++;
        length++;
      }
    }
    // A subsection's properties are in the same state: they have names of their own.
    const key = `${json.vmsd_name} ${i}`;
    // The numbers that QEMU appends to names make them unique: they are taken as they are.
    const { name } = first;
    if (first.type === "unused_buffer") fields[`$${i}`] = unused(first.size, { name });
    else if (first.type === "tmp") fields[`$${i}`] = tmp(first, key);
    else if (length === undefined) fields[key] = element(first, { name });
    else fields[key] = array(element(first, {}), length, { name }) as Field;
  }
  const subsections = (json.subsections ?? []).map(descriptionOf);
  return declare(json.vmsd_name, { version: json.version, fields, subsections });
}

function element(json: FieldJson, options: { name?: string }): ArrayElement<never, unknown> {
  const { type, size } = json;
  if (json.struct) return struct(descriptionOf(json.struct), options);
  if (type === "buffer") return buffer(size, options);
  const scalar = SCALARS[type] as ((options: { name?: string }) => ArrayElement<never, unknown>);
  return scalar ? scalar(options) : custom(opaque(type, size), options);
}

function tmp(json: FieldJson, key: string): UnboundField<unknown> {
  const { vmsd_name = "", version = 0, fields = [] } = json;
  const description = descriptionOf({ vmsd_name, version, fields });
  return withTmp(description, {
    since: version,
    save: (state: unknown) => (state as State)[key] as State,
    load: (state, value) => void ((state as State)[key] = value),
  });
}

/** A device's own kind of value, or one that would be compared: the bytes as they are. */
function opaque(type: string, size: number): Codec<Uint8Array> {
  return {
    type,
    size,
    create: () => new Uint8Array(size),
    save: (writer, value) => void writer.bytes(value),
    load: (reader, _current, path) => reader.bytes(size, size, path),
  };
}
