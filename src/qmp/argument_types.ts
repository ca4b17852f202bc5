/**
 * What a command's arguments may be, and reading them: each is there or optional, of its type, and none
 * is unknown (QEMU `qapi/qobject-input-visitor.c`).
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { QmpError } from "./qmp_error.ts";

/** What values a type has, for those who are to know before they send one. */
export type Shape =
  | { readonly kind: "builtin"; readonly name: "str" | "int" | "number" | "bool" | "null" | "any" }
  | { readonly kind: "enum"; readonly words: readonly string[] }
  | { readonly kind: "array"; readonly of: Shape }
  | { readonly kind: "object"; readonly members: Members }
  | { readonly kind: "alternate"; readonly of: readonly Shape[] };

/** A type of JSON values, and how one becomes a `T`. */
export interface ArgumentType<T> {
  /**
   * Reads a value.
   * @param value What was given.
   * @param path Where it stands, for messages: `channels[0].addr`.
   * @throws {QmpError} If it is of another type.
   */
  read(value: JsonValue, path: string): T;
  /** What `query-qmp-schema` says of it. */
  readonly shape: Shape;
}

/** A member that may be missing. */
export interface OptionalType<T> extends ArgumentType<T> {
  readonly optional: true;
}

/** The members of an object, in the order in which they are checked. */
export type Members = Readonly<Record<string, ArgumentType<unknown>>>;

/** What reading {@linkcode Members} gives. */
export type Values<M extends Members> =
  & { readonly [K in keyof M as M[K] extends OptionalType<unknown> ? never : K]: ValueOf<M[K]> }
  & { readonly [K in keyof M as M[K] extends OptionalType<unknown> ? K : never]?: ValueOf<M[K]> };
type ValueOf<A> = A extends ArgumentType<infer T> ? T : never;

function builtin(name: (Shape & { kind: "builtin" })["name"]): Shape {
  return { kind: "builtin", name };
}

/** A string. */
export const string: ArgumentType<string> = {
  shape: builtin("str"),
  read(value, path) {
    if (typeof value === "string") return value;
    throw wrongType(path, "string");
  },
};

/** A string, or `null` for the empty one. */
export const stringOrNull: ArgumentType<string> = {
  shape: { kind: "alternate", of: [builtin("str"), builtin("null")] },
  read(value, path) {
    if (value === null) return "";
    if (typeof value === "string") return value;
    throw wrongType(path, "StrOrNull");
  },
};

/** True or false. */
export const boolean: ArgumentType<boolean> = {
  shape: builtin("bool"),
  read(value, path) {
    if (typeof value === "boolean") return value;
    throw wrongType(path, "boolean");
  },
};

/** A whole number, not negative. */
export const unsigned: ArgumentType<number> = {
  shape: builtin("int"),
  read(value, path) {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw new QmpError(`Parameter '${path}' expects uint64`);
  },
};

/** A whole number of 64 bits, not negative: a bigint where a number would not be exact. */
export const unsigned64: ArgumentType<number | bigint> = {
  shape: builtin("int"),
  read: (value, path) =>
    typeof value === "bigint" && value >= 0n ? value : unsigned.read(value, path),
};

/** A whole number. */
export const integer: ArgumentType<number> = {
  shape: builtin("int"),
  read(value, path) {
    if (typeof value === "number" && Number.isSafeInteger(value)) return value;
    throw wrongType(path, "integer");
  },
};

/** A number. */
export const number: ArgumentType<number> = {
  shape: builtin("number"),
  read(value, path) {
    if (typeof value === "number") return value;
    throw wrongType(path, "number");
  },
};

/** Whatever JSON has: who uses it checks it. */
export const any: ArgumentType<JsonValue> = { shape: builtin("any"), read: (value) => value };

/** One of some words. */
export function choice<const T extends string>(words: readonly T[]): ArgumentType<T> {
  return {
    read(value, path) {
      const text = string.read(value, path);
      const found = words.find((word) => word === text);
      if (found !== undefined) return found;
      throw new QmpError(`Parameter '${path}' does not accept value '${text}'`);
    },
    shape: { kind: "enum", words },
  };
}

/** An array. @param of The type of its elements. */
export function list<T>(of: ArgumentType<T>): ArgumentType<readonly T[]> {
  return {
    shape: { kind: "array", of: of.shape },
    read(value, path) {
      if (!Array.isArray(value)) throw wrongType(path, "array");
      return value.map((element: JsonValue, index) => of.read(element, `${path}[${index}]`));
    },
  };
}

/** An object with known members. */
export function object<M extends Members>(members: M): ArgumentType<Values<M>> {
  return {
    shape: { kind: "object", members },
    read(value, path) {
      if (!isJsonObject(value)) throw wrongType(path, "object");
      return readMembers(members, value, `${path}.`);
    },
  };
}

/** A member that may be missing. */
export function optional<T>(type: ArgumentType<T>): OptionalType<T> {
  return { ...type, optional: true };
}

/**
 * Reads an object.
 * @param members What it may have.
 * @param given The object.
 * @param prefix What stands before its members' names in messages.
 * @throws {QmpError} If one is missing, unknown or of another type.
 */
export function readMembers<M extends Members>(
  members: M,
  given: JsonObject,
  prefix = "",
): Values<M> {
  const values: Record<string, unknown> = {};
  for (const [name, type] of Object.entries(members)) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value !== undefined) values[name] = type.read(value, `${prefix}${name}`);
    else if (!("optional" in type)) {
      throw new QmpError(`Parameter '${prefix}${name}' is missing`);
    }
  }
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(members, name));
  if (unknown !== undefined) {
    throw new QmpError(`Parameter '${prefix}${unknown}' is unexpected`);
  }
  return values as Values<M>;
}

function wrongType(path: string, expected: string): QmpError {
  return new QmpError(`Invalid parameter type for '${path}', expected: ${expected}`);
}
