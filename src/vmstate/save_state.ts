/**
 * Saves a state by its description, and describes what it saved (wire-format §4.2, §4.4, §1.7; QEMU
 * `migration/vmstate.c`, `vmstate_save_state_v`).
 *
 * @module
 */
import { MigrationError } from "../errors.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import { ElementType } from "../wire/section.ts";
import type { VMStateFor } from "./vmstate.ts";
import { describeAlike, fieldJson, nullJson, runLength } from "./field_json.ts";
import { saveNumbers } from "./number_arrays.ts";
import {
  type Amount,
  amountOf,
  type ArrayShape,
  checkLength,
  type Collection,
  type DescriptionPlan,
  fieldExists,
  keyOf,
  kindOf,
  type NamedFieldPlan,
  NULL_MARKER,
  ownerOf,
} from "./plan.ts";
import { Saving } from "./saving.ts";
import type { FieldJson, VmsdJson } from "./vmsd_json.ts";

/**
 * Appends a state, as its description says; section header and footer are the caller's.
 * @param writer Where the bytes go.
 * @param description What is saved, in which order; `needed` is not asked.
 * @param instance The state.
 * @returns What QEMU's JSON description would say of it.
 * @throws {RangeError | TypeError} If a value does not fit its field: the message has its path.
 * @throws {MigrationError} If a hook failed, or a validation.
 */
export function saveState<S extends object>(
  writer: ByteWriter,
  description: VMStateFor<S>,
  instance: NoInfer<S>,
): VmsdJson {
  const saving = new Saving(writer);
  saving.path.enter(description.name);
  return saveDescription(saving, description.plan, instance, description.version, true)!;
}

/**
 * Appends a state that is part of another.
 * @param version The version to send: the description's, but for a `vstruct`.
 * @param describe Whether the JSON is wanted.
 */
export function saveDescription(
  saving: Saving,
  plan: DescriptionPlan,
  state: object,
  version: number,
  describe: boolean,
): VmsdJson | undefined {
  const { preSave, postSave } = plan.hooks;
  runHook(saving, "preSave", preSave, state);
  let json: VmsdJson | undefined;
  try {
    const fields: FieldJson[] | undefined = describe ? [] : undefined;
    for (const field of plan.fields) {
      saving.path.enter(field.segment);
      if (fieldExists(field, state, version)) {
        saveField(saving, field, state, fields);
      } else if (field.mustExist) {
        throw new MigrationError(`${saving.path} does not hold for this state`);
      }
      saving.path.leave();
    }
    if (fields) json = { vmsd_name: plan.name, version, fields };
    saveSubsections(saving, plan, state, json);
  } catch (failure) {
    // A failed save is undone like one that worked; the first failure is the one that counts.
    try {
      postSave?.(state as never);
    } catch { /* the first failure is thrown below */ }
    throw failure;
  }
  runHook(saving, "postSave", postSave, state);
  return json;
}

function runHook(
  saving: Saving,
  name: string,
  hook: ((state: never) => void) | undefined,
  state: object,
): void {
  try {
    hook?.(state as never);
  } catch (thrown) {
    throw saving.failed(`: ${name}`, thrown);
  }
}

function saveSubsections(
  saving: Saving,
  plan: DescriptionPlan,
  state: object,
  json: VmsdJson | undefined,
): void {
  for (const subsection of plan.subsections) {
    if (subsection.hooks.needed && !subsection.hooks.needed(state as never)) continue;
    saving.path.enter(subsection.name.slice(plan.name.length));
    saving.writer.u8(ElementType.SUBSECTION).countedString(subsection.name)
      .be32(subsection.version);
    const child = saveDescription(
      saving,
      subsection,
      state,
      subsection.version,
      json !== undefined,
    );
    if (json && child) (json.subsections ??= []).push(child);
    saving.path.leave();
  }
}

function saveField(
  saving: Saving,
  field: NamedFieldPlan,
  state: object,
  fields: FieldJson[] | undefined,
): void {
  const { element, shape } = field;
  const value = field.source === "property"
    ? ownerOf(field, state)[keyOf(field)]
    : field.source === "state"
    ? state
    : undefined;
  if (shape.kind === "single") {
    const size = field.sizeBy ? amount(saving, field.sizeBy, state) : element.size;
    const from = saving.writer.length;
    const child = element.save(saving, value, size, fields !== undefined);
    fields?.push(fieldJson(field, 0, 1, child, saving.writer.length - from));
  } else if (field.source === "nothing") {
    const count = shape.kind === "fixed" ? shape.length : amount(saving, shape, state);
    saving.writer.zeros(count * element.size);
    describeAlike(field, count, fields);
  } else {
    saveElements(saving, field, shape, value, state, fields);
  }
}

function saveElements(
  saving: Saving,
  field: NamedFieldPlan,
  shape: ArrayShape,
  value: unknown,
  state: object,
  fields: FieldJson[] | undefined,
): void {
  const { collection } = field.element;
  if (!collection.is(value)) {
    throw saving.typeError(`is ${kindOf(value)}, not ${collection.name}`);
  }
  const elements = value as Collection;
  let start = 0;
  let count: number;
  if (shape.kind === "counted") {
    count = amount(saving, shape, state);
    if (count > elements.length) {
      throw saving.rangeError(
        `has ${elements.length} elements, and ${shape.property} says ${count}`,
      );
    }
  } else {
    ({ start, length: count } = shape);
    checkLength(saving, shape, elements);
  }
  if (collection.bulk > 0 && !field.nullable) {
    saveNumbers(saving.writer, elements as unknown as ArrayBufferView, start, count);
    describeAlike(field, count, fields);
    return;
  }
  saveEach(saving, field, elements, start, count, fields);
}

/** One after the other, with QEMU's rules for which of them the JSON lists. */
function saveEach(
  saving: Saving,
  field: NamedFieldPlan,
  elements: Collection,
  start: number,
  count: number,
  fields: FieldJson[] | undefined,
): void {
  const { element } = field;
  let describe = fields !== undefined;
  let wasNull = false;
  for (let i = 0; i < count; i++) {
    const value = elements[start + i];
    const isNull = field.nullable && value === null;
    let remaining = count - i;
    if (fields && field.nullable && isNull !== wasNull) {
      wasNull = isNull;
      describe = true;
      remaining = runLength(elements, start + i, start + count);
    }
    saving.path.enter(start + i);
    const from = saving.writer.length;
    let child: VmsdJson | undefined;
    if (isNull) saving.writer.u8(NULL_MARKER);
    else child = element.save(saving, value, element.size, describe);
    if (describe) {
      const size = saving.writer.length - from;
      fields?.push(
        isNull ? nullJson(field, remaining) : fieldJson(field, i, remaining, child, size),
      );
    }
    saving.path.leave();
    if (field.compressible) describe = false;
  }
}

function amount(saving: Saving, by: Amount, state: object): number {
  const value = amountOf(by, state);
  if (value === undefined) {
    const held = (state as Record<string, unknown>)[by.property];
    throw saving.rangeError(`is counted by ${by.property}, which is ${String(held)}`);
  }
  if (by.max !== undefined && value > by.max) {
    throw saving.rangeError(`has ${value} elements by ${by.property}: at most ${by.max} may be`);
  }
  return value;
}
