/**
 * Turns a declaration into the plan that saving and loading walk, and refuses one that contradicts
 * itself: what could only fail in the middle of a migration fails when the program starts.
 *
 * @module
 */
import { checkedInteger, Field, UnboundField } from "./field.ts";
import type { DescriptionPlan, FieldPlan, Hooks, NamedFieldPlan } from "./plan.ts";

/** A declaration without its types. */
export interface Declaration {
  readonly version?: number;
  readonly minimumVersion?: number;
  readonly fields: object;
  readonly subsections?: readonly { readonly plan: DescriptionPlan }[];
  readonly create?: () => unknown;
  readonly needed?: Hooks["needed"];
  readonly preSave?: Hooks["preSave"];
  readonly postSave?: Hooks["postSave"];
  readonly preLoad?: Hooks["preLoad"];
  readonly postLoad?: Hooks["postLoad"];
}

/**
 * Makes the plan.
 * @param name What the stream calls it.
 * @param plain Whether a plain object will do where a state has to be made.
 * @throws {RangeError | TypeError} If the declaration contradicts itself.
 */
export function describe(name: string, declaration: Declaration, plain: boolean): DescriptionPlan {
  const version = checkedInteger(declaration.version ?? 1, "version");
  const minimumVersion = checkedInteger(declaration.minimumVersion ?? 0, "minimumVersion");
  if (minimumVersion > version) {
    throw new RangeError(`${name}: minimumVersion ${minimumVersion} is above version ${version}`);
  }
  const nameBytes = new TextEncoder().encode(name);
  if (nameBytes.length === 0 || nameBytes.length > 255) {
    throw new RangeError(`"${name}" is ${nameBytes.length} bytes long: 1 to 255 are possible`);
  }
  const subsections = (declaration.subsections ?? []).map(({ plan }) => plan);
  for (const subsection of subsections) checkSubsection(name, subsection, subsections);
  const fields = nameFields(name, version, declaration.fields);
  const create = declaration.create ?? (plain ? blank(fields, subsections) : undefined);
  const { needed, preSave, postSave, preLoad, postLoad } = declaration;
  return {
    name,
    nameBytes,
    version,
    minimumVersion,
    fields,
    subsections,
    hooks: { needed, preSave, postSave, preLoad, postLoad },
    create: create as (() => object) | undefined,
  };
}

function checkSubsection(
  parent: string,
  subsection: DescriptionPlan,
  all: readonly DescriptionPlan[],
): void {
  if (!subsection.name.startsWith(parent) || subsection.name === parent) {
    throw new RangeError(
      `A subsection of ${parent} is called "${subsection.name}", not "${parent}/…": it is found by that`,
    );
  }
  if (all.filter(({ name }) => name === subsection.name).length > 1) {
    throw new RangeError(`${parent} has two subsections called "${subsection.name}"`);
  }
}

function nameFields(name: string, version: number, fields: object): NamedFieldPlan[] {
  const entries = Object.entries(fields).map(([key, field]): [string, FieldPlan] => {
    const unbound = key.startsWith("$");
    if (!(field instanceof (unbound ? UnboundField : Field))) {
      throw new TypeError(
        unbound
          ? `${name}: "${key}" is a property's field: its name does not begin with $`
          : `${name}: "${key}" is no property's field: its name begins with $`,
      );
    }
    if (/^\d+$/.test(key)) {
      throw new RangeError(`${name}: "${key}" is a number, and objects put these before names`);
    }
    const { plan } = field as Field;
    if (!plan.exists && plan.since > version) {
      throw new RangeError(
        `${name}: "${key}" exists since version ${plan.since}, and the version is ${version}`,
      );
    }
    return [key, plan];
  });
  const names = entries.map(([key, plan]) => plan.name ?? key.replace(/^\$/, ""));
  return entries.map(([key, plan], i) => {
    const plainName = names[i]!;
    const unique = names.indexOf(plainName) === names.lastIndexOf(plainName);
    const occurrence = names.slice(0, i).filter((other) => other === plainName).length;
    return {
      ...plan,
      key,
      segment: `.${key.startsWith("$") ? plainName : key}`,
      plainName,
      jsonName: unique ? plainName : `${plainName}[${occurrence}]`,
      // QEMU looks a null's stand-in up among the fields and does not find it.
      nullName: unique ? plainName : `${plainName}[-1]`,
      compressible: isCompressible(plan),
    };
  });
}

function isCompressible({ exists, element: { child, wrap } }: FieldPlan): boolean {
  if (exists) return false;
  if (!child || wrap !== "struct") return true;
  return child.subsections.length === 0 && child.fields.every((field) => field.compressible);
}

/** Makes an object with all properties, if each field knows how to make its own. */
function blank(
  fields: readonly NamedFieldPlan[],
  subsections: readonly DescriptionPlan[],
): (() => object) | undefined {
  const makers = new Map<string, () => unknown>();
  for (const field of [fields, ...subsections.map((each) => allFields(each))].flat()) {
    if (field.key.startsWith("$")) continue;
    const { create } = field.element;
    if (!create) return undefined;
    makers.set(field.key, create);
  }
  return () => Object.fromEntries([...makers].map(([key, create]) => [key, create()]));
}

function allFields(plan: DescriptionPlan): NamedFieldPlan[] {
  return [...plan.fields, ...plan.subsections.flatMap(allFields)];
}
