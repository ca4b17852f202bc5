/**
 * What the JSON description says of a field: QEMU's rules for which elements of an array are listed
 * (QEMU `migration/vmstate.c`, `vmsd_desc_field_start` and the loop that calls it).
 *
 * @module
 */
import type { Collection, NamedFieldPlan } from "./plan.ts";
import type { FieldJson, VmsdJson } from "./vmsd_json.ts";

/** Elements of a fixed size with nothing inside. */
export function describeAlike(
  field: NamedFieldPlan,
  count: number,
  fields: FieldJson[] | undefined,
): void {
  if (!fields || count === 0) return;
  const described = field.compressible ? 1 : count;
  for (let i = 0; i < described; i++) {
    fields.push(fieldJson(field, i, count - i, undefined, field.element.size));
  }
}

/**
 * Describes an element.
 * @param index Which element.
 * @param remaining How many there are from it on: with one, QEMU takes the field for no array.
 */
export function fieldJson(
  field: NamedFieldPlan,
  index: number,
  remaining: number,
  child: VmsdJson | undefined,
  size: number,
): FieldJson {
  const { element } = field;
  return {
    name: field.jsonName,
    ...(remaining > 1 ? field.compressible ? { array_len: remaining } : { index } : {}),
    type: element.type,
    ...(child && element.wrap === "struct" ? { struct: child } : child),
    size,
  };
}

/** Describes an element that is `null`: as many as follow it if that can be said of all at once. */
export function nullJson(field: NamedFieldPlan, remaining: number): FieldJson {
  return {
    name: field.nullName,
    ...(remaining > 1 ? { array_len: remaining } : {}),
    type: "nullptr",
    size: 1,
  };
}

/** How many elements from `from` on are `null`, or how many are not. */
export function runLength(elements: Collection, from: number, to: number): number {
  const isNull = elements[from] === null;
  let i = from + 1;
  while (i < to && (elements[i] === null) === isNull) i++;
  return i - from;
}
