/**
 * Descriptions as files: the JSON that QEMU's `-dump-vmstate` writes, which two versions of a program
 * are compared by (QEMU `migration/savevm.c`, `dump_vmstate_json_to_file`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { DescriptionPlan, NamedFieldPlan } from "./plan.ts";
import type { VMStateFor } from "./vmstate.ts";

/** A field, with the names that QEMU's files have. */
export interface FieldDump {
  /** Its name. */
  field: string;
  /** The first version with it. */
  version_id: number;
  /** Whether it has a predicate. */
  field_exists: boolean;
  /** The length of a fixed array. */
  num?: number;
  /** Bytes of an element: in memory for QEMU, on the wire for ours; 0 where that varies. */
  size: number;
  /** What is inside. */
  Description?: DescriptionDump;
}

/** A description. */
export interface DescriptionDump {
  /** Its name in the stream. */
  name: string;
  /** The version that is saved. */
  version_id: number;
  /** The oldest version that is loaded. */
  minimum_version_id: number;
  /** Its fields, in order. */
  Fields?: FieldDump[];
  /** Its subsections. */
  Subsections?: DescriptionDump[];
}

/** A kind of device. */
export interface DeviceDump {
  /** The kind's name. */
  Name: string;
  /** The version that is saved. */
  version_id: number;
  /** The oldest version that is loaded. */
  minimum_version_id: number;
  /** Its state. */
  Description?: DescriptionDump;
}

/** All kinds of device that a program has, by their names. */
export interface VmstateDump {
  /** The machine type. */
  machine: string;
  /** Each under the name that both programs know it by. */
  devices: Map<string, DeviceDump>;
}

/** The key that stands for the machine in the file. */
const MACHINE_KEY = "vmschkmachine";

/**
 * What a description looks like in a file.
 * @param description Any description.
 */
export function dumpDescription(description: VMStateFor<never>): DescriptionDump {
  return dumpPlan(description.plan);
}

/**
 * What a machine looks like in a file.
 * @param machine The machine type.
 * @param descriptions Its devices, each under a name that stays the same.
 */
export function dumpMachine(
  machine: string,
  descriptions: Readonly<Record<string, VMStateFor<never>>>,
): VmstateDump {
  const devices = new Map(
    Object.entries(descriptions).map(([name, { plan }]): [string, DeviceDump] => [name, {
      Name: name,
      version_id: plan.version,
      minimum_version_id: plan.minimumVersion,
      Description: dumpPlan(plan),
    }]),
  );
  return { machine, devices };
}

function dumpPlan(plan: DescriptionPlan): DescriptionDump {
  return {
    name: plan.name,
    version_id: plan.version,
    minimum_version_id: plan.minimumVersion,
    // Checks take no bytes: they are not listed.
    Fields: plan.fields.filter((field) => !field.mustExist).map(dumpField),
    ...(plan.subsections.length > 0 ? { Subsections: plan.subsections.map(dumpPlan) } : {}),
  };
}

function dumpField(field: NamedFieldPlan): FieldDump {
  const { element, shape, sizeBy } = field;
  return {
    field: field.plainName,
    version_id: field.since,
    field_exists: field.exists !== undefined,
    ...(shape.kind === "fixed" ? { num: shape.length } : {}),
    size: sizeBy && sizeBy.multiply > 1 ? sizeBy.multiply : element.size,
    ...(element.child ? { Description: dumpPlan(element.child) } : {}),
  };
}

/** The text of a file, as QEMU lays it out. */
export function dumpText(dump: VmstateDump): string {
  const file = { [MACHINE_KEY]: { Name: dump.machine }, ...Object.fromEntries(dump.devices) };
  return JSON.stringify(file, null, 2) + "\n";
}

/**
 * Reads a file that QEMU or {@linkcode dumpText} wrote.
 * @param text The file's content.
 * @throws {StreamFormatError} If it is no such file; the message says where it differs.
 */
export function parseDump(text: string): VmstateDump {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (cause) {
    throw new StreamFormatError("Not JSON, as -dump-vmstate writes it", { cause });
  }
  const { [MACHINE_KEY]: machine, ...devices } = object(file, "the file");
  return {
    machine: machine === undefined ? "" : string(object(machine, MACHINE_KEY), "Name", MACHINE_KEY),
    devices: new Map(
      Object.entries(devices).map(([name, device]) => [name, deviceOf(device, name)]),
    ),
  };
}

type Members = Readonly<Record<string, unknown>>;

function deviceOf(value: unknown, where: string): DeviceDump {
  const members = object(value, where);
  return {
    Name: string(members, "Name", where),
    version_id: number(members, "version_id", where),
    minimum_version_id: number(members, "minimum_version_id", where),
    ...optional(members, "Description", where, descriptionOf),
  };
}

function descriptionOf(value: unknown, where: string): DescriptionDump {
  const members = object(value, where);
  return {
    name: string(members, "name", where),
    version_id: number(members, "version_id", where),
    minimum_version_id: number(members, "minimum_version_id", where),
    ...optional(members, "Fields", where, list(fieldOf)),
    ...optional(members, "Subsections", where, list(descriptionOf)),
  };
}

function fieldOf(value: unknown, where: string): FieldDump {
  const members = object(value, where);
  return {
    field: string(members, "field", where),
    version_id: number(members, "version_id", where),
    field_exists: members.field_exists === true,
    ...optional(members, "num", where, (_, at) => number(members, "num", at)),
    size: number(members, "size", where),
    ...optional(members, "Description", where, descriptionOf),
  };
}

function optional<K extends string, T>(
  members: Members,
  key: K,
  where: string,
  read: (value: unknown, where: string) => T,
): { [P in K]?: T } {
  if (members[key] === undefined) return {};
  return { [key]: read(members[key], `${where}.${key}`) } as { [P in K]?: T };
}

function list<T>(read: (value: unknown, where: string) => T) {
  return (value: unknown, where: string): T[] => {
    if (!Array.isArray(value)) throw new StreamFormatError(`${where} is no list`);
    return value.map((each, i) => read(each, `${where}[${i}]`));
  };
}

function object(value: unknown, where: string): Members {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Members;
  throw new StreamFormatError(`${where} is no object`);
}

function string(members: Members, key: string, where: string): string {
  const value = members[key];
  if (typeof value === "string") return value;
  throw new StreamFormatError(`${where}.${key} is no text`);
}

function number(members: Members, key: string, where: string): number {
  const value = members[key];
  if (typeof value === "number") return value;
  throw new StreamFormatError(`${where}.${key} is no number`);
}
