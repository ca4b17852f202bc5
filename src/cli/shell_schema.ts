/**
 * What a server says of its commands (`query-commands`, `query-qmp-schema`), be it Ferry or QEMU, so that the
 * shell can complete, explain and read what is typed.
 *
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../qmp/json.ts";

/** A type of the schema. */
export type SchemaType = JsonObject | undefined;

/** A member of an object. */
export interface SchemaMember {
  readonly name: string;
  readonly type: SchemaType;
  readonly optional: boolean;
}

/** Commands and their types. */
export class ShellSchema {
  /** The commands' names, in order. */
  readonly commands: readonly string[];
  readonly #entities: ReadonlyMap<string, JsonObject>;

  /**
   * @param commands What the server answers to `query-commands`.
   * @param schema What it answers to `query-qmp-schema`; without it, only names are known.
   */
  constructor(commands: JsonValue, schema: JsonValue = []) {
    this.commands = objectsOf(commands).map(nameOf).sort();
    this.#entities = new Map(objectsOf(schema).map((each) => [nameOf(each), each]));
  }

  /** The type of a command's arguments together. */
  argumentsOf(command: string): SchemaType {
    return this.#type(this.#entities.get(command)?.["arg-type"]);
  }

  /**
   * The type of one argument, or of something in it.
   * @param path `["channels", "0", "addr"]`.
   */
  typeAt(command: string, path: readonly string[]): SchemaType {
    return path.reduce<SchemaType>((type, key) => this.#step(type, key), this.argumentsOf(command));
  }

  /** An object's members, those too that it has only with some values of others. */
  members(type: SchemaType): SchemaMember[] {
    if (type?.["meta-type"] !== "object") return [];
    const members = new Map<string, SchemaMember>();
    for (const member of objectsOf(type["members"])) {
      const name = nameOf(member);
      members.set(name, {
        name,
        type: this.#type(member["type"]),
        optional: "default" in member,
      });
    }
    for (const { type: variant } of objectsOf(type["variants"])) {
      for (const member of this.members(this.#type(variant))) {
        if (!members.has(member.name)) members.set(member.name, { ...member, optional: true });
      }
    }
    return [...members.values()];
  }

  /** The type of an array's elements. */
  elementOf(type: SchemaType): SchemaType {
    return type?.["meta-type"] === "array" ? this.#type(type["element-type"]) : undefined;
  }

  /** What a value can be, if it is one of some. */
  words(type: SchemaType): string[] {
    if (type?.["json-type"] === "boolean") return ["true", "false"];
    if (type?.["meta-type"] === "enum") return objectsOf(type["members"]).map(nameOf);
    return this.#alternatives(type).flatMap((each) => this.words(each));
  }

  /** The types of which a value can have any. */
  #alternatives(type: SchemaType): SchemaType[] {
    if (type?.["meta-type"] !== "alternate") return [];
    return objectsOf(type["members"]).map((each) => this.#type(each["type"]));
  }

  /** What a value is, in a word: `string`, `integer`, `one of a, b`, `list of …`. */
  describe(type: SchemaType): string {
    switch (type?.["meta-type"]) {
      case "builtin":
        return type["json-type"] === "int" ? "integer" : String(type["json-type"]);
      case "enum":
        return this.words(type).join("|");
      case "array":
        return `list of ${this.describe(this.elementOf(type))}`;
      case "alternate":
        return this.#alternatives(type).map((each) => this.describe(each)).join(" or ");
      default:
        return "object";
    }
  }

  #step(type: SchemaType, key: string): SchemaType {
    if (/^\d+$/.test(key)) return this.elementOf(type);
    return this.members(type).find(({ name }) => name === key)?.type;
  }

  #type(name: JsonValue | undefined): SchemaType {
    return this.#entities.get(String(name));
  }
}

function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function nameOf(entity: JsonObject): string {
  return String(entity["name"]);
}
