/**
 * What is typed into the shell: `command key=value key.sub=value key.0.sub=value key={json}`, or a whole QMP
 * command as JSON.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { isJsonObject, type JsonObject, type JsonValue, readJson } from "../qmp/json.ts";
import { QmpError } from "../qmp/qmp_error.ts";
import type { SchemaType, ShellSchema } from "./shell_schema.ts";

/** A command that was typed. */
export interface ShellCommand {
  readonly how: "execute" | "exec-oob";
  readonly name: string;
  readonly args: JsonObject;
}

/** A word: what stands in quotes or brackets may have spaces. */
const WORD = /(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'{}[\]])+|[{}[\]"']/gy;
const BRACKETS: Readonly<Record<string, number>> = { "{": 1, "[": 1, "}": -1, "]": -1 };

/**
 * Reads a line.
 * @param schema Where it is known, what a value means depends on its type: `port=5` is text if it has to be.
 * @returns The command, or nothing if the line is empty or a comment.
 * @throws {UsageError} If it is not understood.
 */
export function parseShellLine(line: string, schema?: ShellSchema): ShellCommand | undefined {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return undefined;
  if (text.startsWith("{")) return parseWhole(text);
  const [name = "", ...words] = splitWords(text);
  const args: NestedArguments = {};
  for (const word of words) {
    const at = word.indexOf("=");
    if (at < 1) throw new UsageError(`"${word}" is not key=value`);
    const path = word.slice(0, at).split(".");
    put(args, path, parseValue(word.slice(at + 1), schema?.typeAt(name, path)), word);
  }
  return { how: "execute", name, args: withLists(args) as JsonObject };
}

/** Splits at spaces that are in no brackets and no quotes. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let depth = 0;
  let end = -1;
  let start = 0;
  for (const { 0: part, index } of text.matchAll(new RegExp(WORD, "g"))) {
    if (depth === 0 && index !== end) {
      if (end >= 0) words.push(text.slice(start, end));
      start = index;
    }
    depth = Math.max(0, depth + (BRACKETS[part] ?? 0));
    end = index + part.length;
  }
  if (end >= 0) words.push(text.slice(start, end));
  return words;
}

function parseWhole(text: string): ShellCommand {
  const message = read(text);
  if (!isJsonObject(message)) throw new UsageError("A command is a JSON object");
  const { execute, "exec-oob": outOfBand, arguments: args = {}, id: _, ...more } = message;
  const name = execute ?? outOfBand;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) throw new UsageError(`A command has no member "${unknown}"`);
  if (typeof name !== "string" || (execute !== undefined && outOfBand !== undefined)) {
    throw new UsageError(`A command has either "execute" or "exec-oob", with its name`);
  }
  if (!isJsonObject(args)) throw new UsageError(`"arguments" is a JSON object`);
  return { how: execute === undefined ? "exec-oob" : "execute", name, args };
}

const UNITS = ["k", "M", "G", "T"];

/** What looks like JSON is JSON, all else is text: `5`, `true`, `"5"`, `[1, 2]`, `tcp:[::1]:4444`. */
function parseValue(text: string, type: SchemaType): JsonValue {
  if (/^[{["']/.test(text)) return read(text);
  if (type?.["json-type"] === "string" || type?.["meta-type"] === "enum") return text;
  const size = type?.["json-type"] === "int" && /^(\d+(?:\.\d+)?)([kMGT])$/i.exec(text);
  if (size) {
    const unit = UNITS.findIndex((each) => each.toLowerCase() === size[2]!.toLowerCase());
    return Math.floor(Number(size[1]) * 1024 ** (unit + 1));
  }
  if (/^(?:true|false|null|-?\d+(?:\.\d+)?)$/.test(text)) {
    try {
      return readJson(text);
    } catch {
      return text; // such as 007
    }
  }
  return text;
}

function read(text: string): JsonValue {
  try {
    return readJson(text);
  } catch (cause) {
    if (!(cause instanceof QmpError)) throw cause;
    throw new UsageError(`${text}: ${cause.description}`, { cause });
  }
}

/** Objects whose keys are 0, 1 and so on are lists. */
function withLists(value: JsonValue | NestedArguments): JsonValue {
  if (!isNested(value)) return value;
  const keys = Object.keys(value);
  if (keys.length > 0 && keys.every((key, index) => key === String(index))) {
    return Object.values(value).map(withLists);
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withLists(each)]));
}

interface NestedArguments {
  [member: string]: JsonValue | NestedArguments;
}

function put(
  into: NestedArguments,
  path: readonly string[],
  value: JsonValue,
  word: string,
): void {
  const [member = "", ...rest] = path;
  if (member === "") throw new UsageError(`"${word}" has an empty key`);
  const there = Object.hasOwn(into, member) ? into[member] : undefined;
  if (rest.length === 0) {
    if (there !== undefined) throw new UsageError(`"${word}": ${member} is there already`);
    Object.defineProperty(into, member, { value, ...PLAIN });
    return;
  }
  if (there !== undefined && !isNested(there)) {
    throw new UsageError(`"${word}": ${member} is there already, and not an object`);
  }
  const inner: NestedArguments = there ?? {};
  if (there === undefined) Object.defineProperty(into, member, { value: inner, ...PLAIN });
  put(inner, rest, value, word);
}

/** A member like any other, whatever its name is. */
const PLAIN = { enumerable: true, writable: true, configurable: true } as const;

function isNested(value: JsonValue | NestedArguments): value is NestedArguments {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
