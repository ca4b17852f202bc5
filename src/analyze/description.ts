/**
 * The JSON description of a stream's device sections (wire-format §1.7): found at a file's end before the
 * stream is read, because sections have no lengths, and checked to be a description before anything
 * follows it.
 *
 * @module
 */
import { asMigrationError, StreamFormatError } from "../errors.ts";
import type { ReadableBytes } from "../transport/sync_file.ts";
import { ElementType } from "../wire/section.ts";
import { VM_DESCRIPTION_MAX } from "../wire/vm_description.ts";

/** QEMU's deepest devices nest some ten descriptions. */
const DEPTH_MAX = 64;
/** Brackets of JSON that one nested description takes: a list of fields, a field, a struct. */
const JSON_DEPTH_MAX = 4 * DEPTH_MAX;
/** How much of a file is searched in one go, in bytes. */
const SEARCH_SIZE = 1024 * 1024;

/** One field as the description has it. */
export interface DescribedField {
  readonly name: string;
  readonly type: string;
  /** Bytes of one element. */
  readonly size: number;
  /** It stands for this many elements. */
  readonly arrayLength: number | undefined;
  /** What is in it, for the type `struct`. */
  readonly struct: DescribedState | undefined;
}

/** What a device, a nested structure or a subsection consists of. */
export interface DescribedState {
  readonly fields: readonly DescribedField[];
  readonly subsections: readonly (DescribedState & { readonly name: string })[];
}

/** A stream's description. */
export interface Description {
  /** Offset of its text in the stream. */
  readonly offset: number;
  /** The text's length in bytes. */
  readonly length: number;
  /** The text, parsed as it is. */
  readonly json: unknown;
  /** The target page, in bytes. */
  readonly pageSize: number | undefined;
  /** The configuration section; QEMU 7.2 does not describe it. */
  readonly configuration: DescribedState | undefined;
  /** Device sections by {@linkcode deviceKey}. */
  readonly devices: ReadonlyMap<string, DescribedState>;
  /** How many devices it lists, which is more where names repeat. */
  readonly deviceCount: number;
  /** Names that are listed more than once; QEMU's script takes the last of each, and so do we. */
  readonly repeated: readonly string[];
}

/** The key of a device among {@linkcode Description.devices}. */
export function deviceKey(idstr: string, instanceId: number): string {
  return `${idstr}/${instanceId}`;
}

/**
 * Parses a description.
 * @param text UTF-8.
 * @param offset Where it begins in the stream.
 * @throws {StreamFormatError} If it is none; the message says where in it.
 */
export function parseDescription(text: Uint8Array, offset: number): Description {
  const place = { place: { section: "the description", offset } };
  checkDepth(text, offset);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (cause) {
    throw new StreamFormatError("The description is not JSON", { ...place, cause });
  }
  try {
    const top = object(json, "the description");
    const list = array(top["devices"], "devices");
    const devices = new Map<string, DescribedState>();
    const repeated: string[] = [];
    for (const [i, each] of list.entries()) {
      const device = object(each, `devices[${i}]`);
      const where = `of device ${JSON.stringify(device["name"])}`;
      const key = deviceKey(
        string(device["name"], `the name of devices[${i}]`),
        count(device["instance_id"], `the instance ${where}`),
      );
      if (devices.has(key)) repeated.push(key);
      devices.set(key, stateOf(device, { device: where, path: "", depth: 0 }));
    }
    return {
      offset,
      length: text.length,
      json,
      pageSize: top["page_size"] === undefined ? undefined : pageSizeOf(top["page_size"]),
      configuration: top["configuration"] === undefined
        ? undefined
        : stateOf(object(top["configuration"], "configuration"), {
          ...{ device: "of the configuration", path: "", depth: 0 },
        }),
      devices,
      deviceCount: list.length,
      repeated,
    };
  } catch (error) {
    throw asMigrationError(error).at(place.place);
  }
}

/** Nesting is looked at before anything that recurses. */
function checkDepth(text: Uint8Array, offset: number): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i]!;
    if (byte === QUOTE) {
      i = endOfString(text, i);
      if (i < 0) return; // that is said better by who parses it
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > JSON_DEPTH_MAX) {
        throw new StreamFormatError(`The description nests more than ${JSON_DEPTH_MAX} deep`, {
          place: { section: "the description", offset: offset + i },
        });
      }
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Where the string ends that begins at `start`; -1 if it does not. */
function endOfString(text: Uint8Array, start: number): number {
  for (let end = start;;) {
    end = text.indexOf(QUOTE, end + 1);
    let escapes = 0;
    while (end > 0 && text[end - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
}

/** Where in a description something stands. */
interface Where {
  /** `of device "…"`. */
  readonly device: string;
  /** Fields and subsections on the way, each with a dot behind it. */
  readonly path: string;
  readonly depth: number;
}

function stateOf(members: Members, where: Where): DescribedState {
  const { device, path, depth } = where;
  if (depth > DEPTH_MAX) {
    throw new StreamFormatError(`The descriptions ${device} nest more than ${DEPTH_MAX} deep`);
  }
  const whole = path === "" ? device : `${path.slice(0, -1)} ${device}`;
  const fields = array(members["fields"], `the list of fields ${whole}`);
  const subsections = members["subsections"] === undefined
    ? []
    : array(members["subsections"], `the list of subsections ${whole}`);
  return {
    fields: fields.map((field) => fieldOf(object(field, `a field ${whole}`), where)),
    subsections: subsections.map((each) => {
      const subsection = object(each, `a subsection ${whole}`);
      const name = string(subsection["vmsd_name"], `the name of a subsection ${whole}`);
      return { name, ...stateOf(subsection, { device, path: `${name}.`, depth: depth + 1 }) };
    }),
  };
}

function fieldOf(members: Members, { device, path, depth }: Where): DescribedField {
  const name = string(members["name"], `the name of a field ${device}`);
  const where = `${path}${name} ${device}`;
  const type = typeof members["type"] === "string" ? members["type"] : "unknown";
  const inside = { device, path: `${path}${name}.`, depth: depth + 1 };
  return {
    name,
    type,
    size: count(members["size"], `the size of ${where}`),
    arrayLength: members["array_len"] === undefined
      ? undefined
      : count(members["array_len"], `the length of ${where}`),
    struct: type === "struct"
      ? stateOf(object(members["struct"], `the structure of ${where}`), inside)
      : undefined,
  };
}

type Members = Readonly<Record<string, unknown>>;

function object(value: unknown, what: string): Members {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Members;
  throw new StreamFormatError(`The description is wrong: ${what} is no object`);
}

function array(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new StreamFormatError(`The description is wrong: ${what} is no list`);
}

function string(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw new StreamFormatError(`The description is wrong: ${what} is no text`);
}

function count(value: unknown, what: string): number {
  if (Number.isSafeInteger(value) && value as number >= 0) return value as number;
  throw new StreamFormatError(
    `The description is wrong: ${what} is ${JSON.stringify(value)}, no count`,
  );
}

function pageSizeOf(value: unknown): number {
  const size = count(value, "page_size");
  if (size >= 1024 && size <= 65536 && (size & (size - 1)) === 0) return size;
  throw new StreamFormatError(`The description is wrong: a target page of ${size} bytes`);
}

/**
 * Looks for the description from a file's end backwards: a type, a length that the file has room for,
 * and the text of a description.
 * @param source A file.
 * @returns It, or `undefined` if the file has none.
 * @throws {StreamFormatError} If what ends the file is a description by its frame and not by its text.
 */
export function findDescription(source: ReadableBytes): Description | undefined {
  const { size } = source;
  if (size === undefined) return undefined;
  const lowest = Math.max(0, size - 2 * VM_DESCRIPTION_MAX);
  for (let end = size; end > lowest;) {
    const start = Math.max(lowest, end - SEARCH_SIZE);
    // A frame that begins before the next window is seen from here.
    const window = readAll(source, start, Math.min(size, end + FRAME_SIZE) - start);
    const found = findIn(window, start, source, size);
    if (found) return found;
    end = start;
  }
  return undefined;
}

/** Type, length and the first two characters of the text. */
const FRAME_SIZE = 7;

function findIn(
  window: Uint8Array,
  start: number,
  source: ReadableBytes,
  size: number,
): Description | undefined {
  const view = new DataView(window.buffer);
  const last = window.length - FRAME_SIZE;
  for (
    let i = window.lastIndexOf(ElementType.VMDESCRIPTION, Math.max(0, last));
    i >= 0;
    i = i === 0 ? -1 : window.lastIndexOf(ElementType.VMDESCRIPTION, i - 1)
  ) {
    if (i > last || window[i + 5] !== 0x7b) continue;
    const offset = start + i + 5;
    const length = view.getUint32(i + 1);
    if (length > VM_DESCRIPTION_MAX || offset + length > size) continue;
    const text = readAll(source, offset, length);
    if (text[length - 1] !== 0x7d) continue;
    return parseDescription(text, offset);
  }
  return undefined;
}

function readAll(source: ReadableBytes, position: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const got = source.read(bytes.subarray(filled), position + filled);
    if (got === 0) return bytes.subarray(0, filled);
    filled += got;
  }
  return bytes;
}
