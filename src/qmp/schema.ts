/**
 * What `query-qmp-schema` answers: commands and events with the types of what they take, so that clients
 * know before they ask (QEMU `qapi/introspect.json`, `docs/devel/qapi-code-gen.rst`).
 *
 * @module
 */
import type { ArgumentType, Members, Shape } from "./argument_types.ts";
import type { CommandTable } from "./command.ts";
import { QMP_EVENTS } from "./events.ts";

/** One entity: a command, an event, or a type that one of them refers to by its name. */
export type SchemaEntity =
  & { readonly name: string; readonly "meta-type": string }
  & Readonly<
    Record<string, unknown>
  >;

const JSON_TYPES = {
  str: "string",
  int: "int",
  number: "number",
  bool: "boolean",
  null: "null",
  any: "value",
} as const;

/**
 * Describes the commands of a table, and all events.
 * @param answers What they answer; those that are missing, `{}`.
 */
export function describeSchema(
  commands: CommandTable,
  answers: Readonly<Record<string, ArgumentType<unknown>>>,
): SchemaEntity[] {
  const types = new SchemaTypes();
  const described = Array.from(commands, ([name, { arguments: members, outOfBand }]) => ({
    name,
    "meta-type": "command",
    "arg-type": types.nameOfMembers(members),
    "ret-type": types.nameOf(answers[name]?.shape ?? { kind: "object", members: {} }),
    ...outOfBand && { "allow-oob": true },
  }));
  const events = Object.entries(QMP_EVENTS).map(([name, data]) => ({
    name,
    "meta-type": "event",
    "arg-type": types.nameOfMembers(data),
  }));
  return [...described, ...events, ...types.entities];
}

/** The types that were referred to; those that QEMU has no word for have numbers. */
class SchemaTypes {
  readonly entities: SchemaEntity[] = [];
  readonly #names = new Map<string, string>();

  nameOfMembers(members: Members): string {
    const described = Object.entries(members).map(([name, type]) => ({
      name,
      type: this.nameOf(type.shape),
      ...("optional" in type) && { default: null },
    }));
    return this.#nameOf({ "meta-type": "object", members: described });
  }

  nameOf(shape: Shape): string {
    switch (shape.kind) {
      case "builtin": {
        const { name } = shape;
        return this.#nameOf({ "meta-type": "builtin", "json-type": JSON_TYPES[name] }, name);
      }
      case "enum": {
        const members = shape.words.map((name) => ({ name }));
        return this.#nameOf({ "meta-type": "enum", members, values: shape.words });
      }
      case "array": {
        const element = this.nameOf(shape.of);
        return this.#nameOf({ "meta-type": "array", "element-type": element }, `[${element}]`);
      }
      case "object":
        return this.nameOfMembers(shape.members);
      case "alternate": {
        const members = shape.of.map((each) => ({ type: this.nameOf(each) }));
        return this.#nameOf({ "meta-type": "alternate", members });
      }
    }
  }

  /** Types that are alike are one. */
  #nameOf(type: Omit<SchemaEntity, "name">, name = String(this.#names.size)): string {
    const key = JSON.stringify(type);
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    this.#names.set(key, name);
    this.entities.push({ name, ...type } as SchemaEntity);
    return name;
  }
}
