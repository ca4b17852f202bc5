/**
 * What the shell offers when the tab key is pressed.
 *
 * @module
 */
import { splitWords } from "./shell_line.ts";
import type { SchemaType, ShellSchema } from "./shell_schema.ts";

/** Completes lines for one server. */
export class ShellCompletion {
  /** @param schema What it can be asked. */
  constructor(private readonly schema: ShellSchema) {}

  /**
   * Completes the last word.
   * @param line What is there up to the cursor.
   * @returns What it could be, and the part of the line that is replaced: what `node:readline` takes.
   */
  complete(line: string): [string[], string] {
    const { schema } = this;
    const begun = lastWord(line);
    const before = line.slice(0, line.length - begun.length).trim();
    const name = before.split(/\s+/, 1)[0]!;
    if (name === "") return matching(["help", ...schema.commands].map((each) => `${each} `), begun);
    if (name === "help") return matching(before === "help" ? schema.commands : [], begun);
    const at = begun.indexOf("=");
    const path = (at < 0 ? begun : begun.slice(0, at)).split(".");
    const type = schema.typeAt(name, path.slice(0, at < 0 ? -1 : undefined));
    if (at < 0) {
      const parents = path.slice(0, -1).map((key) => `${key}.`).join("");
      return matching(schema.members(type).map(({ name }) => `${parents}${name}=`), begun);
    }
    const value = begun.slice(at + 1);
    if (/^[[{]/.test(value)) {
      return matching(this.#wordsWithin(type).map((word) => `${word}"`), /[^"]*$/.exec(value)![0]);
    }
    return matching(schema.words(type).map((word) => `${begun.slice(0, at)}=${word} `), begun);
  }

  /** All that can stand in quotes within a value, however deep: the members' names and the words. */
  #wordsWithin(type: SchemaType, seen = new Set<SchemaType>()): string[] {
    if (!type || seen.has(type)) return [];
    seen.add(type);
    const members = this.schema.members(type);
    const inner = [this.schema.elementOf(type), ...members.map((member) => member.type)];
    const words = type["meta-type"] === "enum" ? this.schema.words(type) : [];
    return [
      ...members.map(({ name }) => name),
      ...words,
      ...inner.flatMap((each) => this.#wordsWithin(each, seen)),
    ];
  }
}

/** What follows the last space that is in no brackets and no quotes. */
function lastWord(line: string): string {
  const word = splitWords(line).at(-1) ?? "";
  return line.endsWith(word)
    ? word
    : line.endsWith(" ") && /[[{]/.test(word) && !isClosed(word)
    ? line.slice(line.lastIndexOf(word))
    : "";
}

function isClosed(word: string): boolean {
  const count = (pattern: RegExp) => word.match(pattern)?.length ?? 0;
  return count(/[[{]/g) <= count(/[\]}]/g);
}

function matching(offers: readonly string[], begun: string): [string[], string] {
  return [[...new Set(offers)].filter((offer) => offer.startsWith(begun)), begun];
}
