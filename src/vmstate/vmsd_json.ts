/**
 * The JSON description of what a stream holds: its shape, and its text as QEMU prints it (wire-format
 * §1.7; QEMU `migration/vmstate.c`, `vmsd_desc_field_start`, and `qobject/json-writer.c`).
 *
 * @module
 */

/** What was sent of one field, or of one element of an array. */
export interface FieldJson {
  /** The field's name; `[k]` is appended where the description has several of that name. */
  name: string;
  /** The element stands for this many, all of the same size. */
  array_len?: number;
  /** Which element this is, where elements differ. QEMU 10 leaves it out of the last one. */
  index?: number;
  /** The kind of value, such as `uint32`, `struct` or `timer`. */
  type: string;
  /** A nested description. */
  struct?: VmsdJson;
  /** Of the last element of a `tmp`, list or `vstruct`: QEMU writes these into the field itself. */
  vmsd_name?: string;
  /** See {@linkcode FieldJson.vmsd_name}. */
  version?: number;
  /** See {@linkcode FieldJson.vmsd_name}. */
  fields?: FieldJson[];
  /** See {@linkcode FieldJson.vmsd_name}. */
  subsections?: VmsdJson[];
  /** Bytes that one element takes in the stream. */
  size: number;
}

/** What was sent of one description. */
export interface VmsdJson {
  /** The description's name. */
  vmsd_name: string;
  /** The version that was sent. */
  version: number;
  /** The fields that existed, in the order of the stream. */
  fields: FieldJson[];
  /** The subsections that were sent; missing if there was none. */
  subsections?: VmsdJson[];
}

/** A device section that a description made. */
export interface DescribedDeviceJson extends VmsdJson {
  /** The section's idstr. */
  name: string;
  /** The section's instance. */
  instance_id: number;
}

/** A device section of a handler without a description: one buffer. */
export interface PlainDeviceJson {
  /** The section's idstr. */
  name: string;
  /** The section's instance. */
  instance_id: number;
  /** Bytes of the section. */
  size: number;
  /** One field called `data`. */
  fields: FieldJson[];
}

/** One device section. */
export type DeviceJson = DescribedDeviceJson | PlainDeviceJson;

/** Everything: what follows the end of a stream. */
export interface VmDescriptionJson {
  /** The configuration section; QEMU 7.2 does not describe it. */
  configuration?: VmsdJson;
  /** The target page, in bytes. */
  page_size: number;
  /** The device sections, in the order of the stream. */
  devices: DeviceJson[];
}

/** A value of JSON, as {@linkcode jsonText} prints it. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | {
  readonly [key: string]: JsonValue | undefined;
};

/**
 * Prints JSON on one line the way QEMU does: `", "` and `": "` as separators, everything but printable
 * ASCII as `\uXXXX`.
 * @param value A description or a part of one.
 * @returns The text, without a terminator.
 */
export function jsonText(value: VmDescriptionJson | DeviceJson | VmsdJson | JsonValue): string {
  const parts: string[] = [];
  print(value as JsonValue, parts);
  return parts.join("");
}

function print(value: JsonValue, parts: string[]): void {
  if (typeof value === "string") {
    parts.push(quoted(value));
  } else if (Array.isArray(value)) {
    parts.push("[");
    value.forEach((element, i) => {
      if (i > 0) parts.push(", ");
      print(element, parts);
    });
    parts.push("]");
  } else if (typeof value === "object" && value !== null) {
    parts.push("{");
    let separator = "";
    for (const [key, member] of Object.entries(value)) {
      if (member === undefined) continue;
      parts.push(separator, quoted(key), ": ");
      print(member, parts);
      separator = ", ";
    }
    parts.push("}");
  } else {
    parts.push(String(value));
  }
}

function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /\\u[0-9a-f]{4}|[\u007f-\uffff]/g,
    (found) => "\\u" + (found.length > 1 ? found.slice(2) : hex(found.charCodeAt(0))).toUpperCase(),
  );
}

function hex(unit: number): string {
  return unit.toString(16).padStart(4, "0");
}
