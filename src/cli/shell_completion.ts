/**
 * What the shell offers when the tab key is pressed, by what the server says of itself
 * (`query-qmp-schema`), be it Ferry or QEMU.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../qmp/json.ts";

/** Completes lines for one server. */
export class ShellCompletion {
  readonly #names: readonly string[];
  /** Commands and types by their names. */
  readonly #schema: ReadonlyMap<string, JsonObject>;

  /**
   * @param commands What the server answers to `query-commands`.
   * @param schema What it answers to `query-qmp-schema`; without it, only names are completed.
   */
  constructor(commands: JsonValue, schema: JsonValue = []) {
    this.#names = objectsOf(commands).map(nameOf).sort();
    this.#schema = new Map(objectsOf(schema).map((each) => [nameOf(each), each]));
  }

  /**
   * Completes the last word.
   * @param line What is there up to the cursor.
   * @returns What it could be, and the part of the line that is replaced: what `node:readline` takes.
   */
  complete(line: string): [string[], string] {
    const begun = /\S*$/.exec(line)![0];
    const before = line.slice(0, line.length - begun.length).trim();
    const name = before.split(/\s+/, 1)[0]!;
    if (name === "") return matching(this.#names.map((each) => `${each} `), begun);
    const at = begun.indexOf("=");
    const path = (at < 0 ? begun : begun.slice(0, at)).split(".");
    const type = path.slice(0, at < 0 ? -1 : undefined)
      .reduce(
        (type, key) => this.#member(type, key),
        this.#type(this.#schema.get(name)?.["arg-type"]),
      );
    if (at < 0) {
      const parents = path.slice(0, -1).map((key) => `${key}.`).join("");
      return matching(this.#keys(type).map((key) => `${parents}${key}=`), begun);
    }
    const value = begun.slice(at + 1);
    if (/^[[{]/.test(value)) {
      return matching(this.#wordsWithin(type).map((word) => `${word}"`), /[^"]*$/.exec(value)![0]);
    }
    return matching(this.#words(type).map((word) => `${begun.slice(0, at)}=${word} `), begun);
  }

  #type(name: JsonValue | undefined): JsonObject | undefined {
    return this.#schema.get(String(name));
  }

  #member(type: JsonObject | undefined, key: string): JsonObject | undefined {
    return this.#type(objectsOf(type?.["members"]).find((each) => nameOf(each) === key)?.["type"]);
  }

  /** The names of an object's members. */
  #keys(type: JsonObject | undefined): string[] {
    if (type?.["meta-type"] !== "object") return [];
    return objectsOf(type["members"]).map(nameOf);
  }

  /** What a single value can be. */
  #words(type: JsonObject | undefined): string[] {
    if (type?.["json-type"] === "boolean") return ["true", "false"];
    if (type?.["meta-type"] === "enum") return objectsOf(type["members"]).map(nameOf);
    if (type?.["meta-type"] !== "alternate") return [];
    return objectsOf(type["members"]).flatMap((each) => this.#words(this.#type(each["type"])));
  }

  /** All that can stand in quotes within a value, however deep: the members' names and the words. */
  #wordsWithin(type: JsonObject | undefined, seen = new Set<JsonObject>()): string[] {
    if (!type || seen.has(type)) return [];
    seen.add(type);
    const inner = [
      type["element-type"],
      ...["members", "variants"].flatMap((each) =>
        objectsOf(type[each]).map((member) => member["type"])
      ),
    ];
    const words = [...this.#keys(type), ...type["meta-type"] === "enum" ? this.#words(type) : []];
    return [...words, ...inner.flatMap((name) => this.#wordsWithin(this.#type(name), seen))];
  }
}

function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function nameOf(entity: JsonObject): string {
  return String(entity["name"]);
}

function matching(offers: readonly string[], begun: string): [string[], string] {
  return [[...new Set(offers)].filter((offer) => offer.startsWith(begun)), begun];
}
