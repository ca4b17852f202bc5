/**
 * JSON as QMP has it: integers of 64 bits are exact, strings may stand in single quotes, a key may not
 * come twice; what is written is ASCII (QEMU `qobject/json-parser.c`, `docs/interop/qmp-spec.rst`).
 *
 * @module
 */
import { QmpError } from "./qmp_error.ts";

/** A value; integers that a number cannot hold are bigints. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | JsonObject;
/** An object. */
export type JsonObject = { readonly [member: string]: JsonValue };

/** Whether a value is an object. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is wrong with a text that is no JSON, in the form in which QMP says it. */
export function jsonError(what: string): QmpError {
  return new QmpError(`JSON parse error, ${what}`);
}

/**
 * Reads one value. Its nesting is not limited here but by who found the text (`json_splitter.ts`).
 * @param text The value and white space around it.
 * @throws {QmpError} If it is none.
 */
export function readJson(text: string): JsonValue {
  const reader = new JsonReader(text);
  const value = reader.value();
  if (reader.token() !== "") throw jsonError("expected end of input");
  return value;
}

/** White space, then a string (with any escapes, checked later), a word, or one other character. */
const TOKEN = /[ \t\r\n]*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[\w.+-]+|.|$)/suy;
const NUMBER = /^-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const CONSTANTS: Readonly<Record<string, JsonValue>> = { null: null, true: true, false: false };
const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  "/": "/",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

class JsonReader {
  #at = 0;

  constructor(private readonly text: string) {}

  /** The next token, or nothing at the end. */
  token(): string {
    TOKEN.lastIndex = this.#at;
    const match = TOKEN.exec(this.text);
    if (!match) return "";
    this.#at = TOKEN.lastIndex;
    return match[1]!;
  }

  value(token = this.token()): JsonValue {
    if (token === "{") return this.#object();
    if (token === "[") return this.#array();
    if (isString(token)) return readString(token);
    if (NUMBER.test(token)) return readNumber(token);
    if (Object.hasOwn(CONSTANTS, token)) return CONSTANTS[token]!;
    if (/^[a-z]+$/.test(token)) throw jsonError(`invalid keyword '${token}'`);
    if (/^[\]},:]?$/.test(token)) throw jsonError("expecting value");
    throw jsonError(`stray '${token}'`);
  }

  #object(): JsonObject {
    const members = new Map<string, JsonValue>();
    let token = this.token();
    if (token !== "}") {
      for (;; token = this.token()) {
        if (!isString(token)) throw jsonError("key is not a string in object");
        const key = readString(token);
        if (members.has(key)) throw jsonError("duplicate key");
        if (this.token() !== ":") throw jsonError("missing : in object pair");
        members.set(key, this.value());
        const separator = this.token();
        if (separator === "}") break;
        if (separator !== ",") throw jsonError("expected separator in dict");
      }
    }
    return Object.fromEntries(members); // own members all of them, `__proto__` too
  }

  #array(): JsonValue[] {
    const values: JsonValue[] = [];
    let token = this.token();
    if (token !== "]") {
      for (;; token = this.token()) {
        values.push(this.value(token));
        const separator = this.token();
        if (separator === "]") break;
        if (separator !== ",") throw jsonError("expected separator in list");
      }
    }
    return values;
  }
}

function isString(token: string): boolean {
  return token.length > 1 && (token[0] === '"' || token[0] === "'");
}

function readString(token: string): string {
  const inner = token.slice(1, -1);
  const value = inner.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gsu, (_, hex?: string, one?: string) => {
    if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
    const escaped = ESCAPES[one!];
    if (escaped === undefined) throw jsonError("invalid escape sequence in string");
    return escaped;
  });
  if (!value.isWellFormed()) throw jsonError("a half of a surrogate pair in string");
  return value;
}

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

function readNumber(token: string): number | bigint {
  const number = Number(token);
  if (!Number.isFinite(number)) throw jsonError(`number '${token}' is out of range`);
  if (Number.isSafeInteger(number) || /[.eE]/.test(token)) return number;
  const exact = BigInt(token);
  return exact < INT64_MIN || exact > UINT64_MAX ? number : exact;
}

/**
 * Writes a value in ASCII.
 * @param value Made of what JSON has; members that are `undefined` are left out.
 * @param indent Puts each member on a line of its own, after this. @default {all in one line}
 */
export function writeJson(value: unknown, indent?: string): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value).replace(
        /[^ -~]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
      );
    case "number":
      if (!Number.isFinite(value)) return "null";
      // Where `String()` ends in zeros that are none.
      return Number.isInteger(value) && Math.abs(value) < 2 ** 64
        ? String(BigInt(value))
        : String(value);
    case "bigint":
    case "boolean":
      return String(value);
    case "object":
      return value === null ? "null" : writeParts(value, indent);
    default:
      throw new TypeError(`JSON has no ${typeof value}`);
  }
}

function writeParts(value: object, indent: string | undefined): string {
  const deeper = indent === undefined ? undefined : `${indent}  `;
  const [open, close, parts] = Array.isArray(value)
    ? ["[", "]", value.map((element) => writeJson(element, deeper))]
    : ["{", "}", writeMembers(value, deeper)];
  if (deeper === undefined || parts.length === 0) return open + parts.join(", ") + close;
  return `${open}\n${deeper}${parts.join(`,\n${deeper}`)}\n${indent}${close}`;
}

function writeMembers(value: object, indent: string | undefined): string[] {
  return Object.entries(value).filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${writeJson(key)}: ${writeJson(member, indent)}`);
}
