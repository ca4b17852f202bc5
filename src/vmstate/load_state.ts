/**
 * Loads a state by its description (wire-format §4.2 to §4.5; QEMU `migration/vmstate.c`,
 * `vmstate_load_state` and `vmstate_subsection_load`).
 *
 * @module
 */
import { IncompatibleError } from "../errors.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { ElementType } from "../wire/section.ts";
import { Loading } from "./loading.ts";
import { loadNumbers } from "./number_arrays.ts";
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
import type { VMStateFor } from "./vmstate.ts";

/**
 * Fills a state from the stream, as its description says; section header and footer are the caller's.
 * After a failure the state holds what was loaded until then.
 * @param reader Where the bytes come from; its window must hold a subsection's name, 257 bytes.
 * @param description What was saved, in which order.
 * @param instance The state.
 * @param versionId The version the stream says it has.
 * @throws {IncompatibleError} If the version, a subsection or a value that must be the same is of
 * another machine.
 * @throws {StreamFormatError} If the bytes say what cannot be; the message has the field's path.
 * @throws {ConnectionLostError} If the stream ends in it.
 * @throws {MigrationError} If a hook failed.
 */
export async function loadState<S extends object>(
  reader: ByteReader,
  description: VMStateFor<S>,
  instance: NoInfer<S>,
  versionId: number,
): Promise<void> {
  const loading = new Loading(reader);
  loading.path.enter(description.name);
  await loadDescription(loading, description.plan, instance, versionId);
}

/** Fills a state that is part of another. */
export async function loadDescription(
  loading: Loading,
  plan: DescriptionPlan,
  state: object,
  version: number,
): Promise<void> {
  checkVersion(loading, plan, version);
  const { preLoad, postLoad } = plan.hooks;
  if (preLoad) await runHook(loading, "preLoad", () => preLoad(state as never));
  for (const field of plan.fields) {
    loading.path.enter(field.segment);
    if (fieldExists(field, state, version)) {
      const waited = loadField(loading, field, state);
      if (waited) await waited;
    } else if (field.mustExist) {
      throw loading.formatError("does not hold for the state that arrived");
    }
    loading.path.leave();
  }
  // Nearly always the next byte is there and is no subsection: then nothing is waited for.
  if (!loading.ready(1) || loading.peek() === ElementType.SUBSECTION) {
    await loadSubsections(loading, plan, state);
  }
  if (postLoad) await runHook(loading, "postLoad", () => postLoad(state as never, version));
}

/**
 * Refuses a version that the description does not know.
 * @param version What the stream, or the field that holds the description, says.
 * @throws {IncompatibleError} If it is too new or too old.
 */
export function checkVersion(loading: Loading, plan: DescriptionPlan, version: number): void {
  if (version >= plan.minimumVersion && version <= plan.version) return;
  const newer = version > plan.version;
  throw new IncompatibleError(
    `${loading.path} has version ${version}; ` +
      (newer
        ? `${plan.version} is the newest known here`
        : `${plan.minimumVersion} is the oldest that can be loaded`),
    {
      place: { offset: loading.reader.position },
      advice: newer
        ? "Migrate to a program that is at least as new as this machine's."
        : "Migrate by way of a program that loads this version.",
    },
  );
}

async function runHook(
  loading: Loading,
  name: string,
  hook: () => void | Promise<void>,
): Promise<void> {
  try {
    await hook();
  } catch (thrown) {
    throw loading.failed(`: ${name}`, thrown);
  }
}

/**
 * Takes the subsections that follow, as long as their names begin with this description's: others
 * belong to a description around it. Their order and number are the sender's affair.
 */
async function loadSubsections(
  loading: Loading,
  plan: DescriptionPlan,
  state: object,
): Promise<void> {
  const { source } = loading.reader;
  for (;;) {
    if (await source.wait(1) < 1 || loading.peek() !== ElementType.SUBSECTION) return;
    if (await source.wait(2) < 2) return;
    const head = new Uint8Array(2);
    source.peek(head);
    const length = head[1]!;
    if (length < plan.nameBytes.length + 1) return;
    if (await source.wait(2 + length) < 2 + length) return;
    const name = new Uint8Array(length);
    source.peek(name, 2);
    if (!plan.nameBytes.every((byte, i) => name[i] === byte)) return;
    const subsection = plan.subsections.find((known) => equal(known.nameBytes, name));
    if (!subsection) {
      throw loading.incompatible(
        `has a subsection "${new TextDecoder().decode(name)}", which is unknown here`,
        loading.reader.position,
        "The sender is newer, or has this device with other features.",
      );
    }
    loading.path.enter(subsection.name.slice(plan.name.length));
    source.consume(2 + length);
    const version = await loading.reader.be32(loading.path.toString());
    await loadDescription(loading, subsection, state, version);
    loading.path.leave();
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Gives a promise only if bytes have to be waited for. */
function loadField(
  loading: Loading,
  field: NamedFieldPlan,
  state: object,
): void | Promise<void> {
  const { element, shape } = field;
  if (shape.kind === "single") {
    if (field.source === "property") return loadProperty(loading, field, state);
    return settle(element.load(loading, state, element.size));
  }
  if (field.source === "nothing") {
    const count = shape.kind === "fixed" ? shape.length : amount(loading, shape, state, Infinity);
    return loading.skip(count * element.size);
  }
  return loadElements(loading, field, shape, state);
}

function settle(loaded: unknown): void | Promise<void> {
  if (loaded instanceof Promise) return loaded;
}

function loadProperty(
  loading: Loading,
  field: NamedFieldPlan,
  state: object,
): void | Promise<void> {
  const { element, sizeBy } = field;
  const owner = ownerOf(field, state);
  const key = keyOf(field);
  let current = owner[key];
  let size = element.size;
  if (sizeBy) {
    const allocates = sizeBy.max !== undefined;
    const storage = allocates ? Infinity : element.capacity?.(current) ?? 0;
    size = amount(loading, sizeBy, state, storage);
    if (allocates) owner[key] = current = element.collection.create!(size);
  }
  const loaded = element.load(loading, current, size);
  if (loaded instanceof Promise) {
    return loaded.then((value) => {
      if (value !== current) owner[key] = value;
    });
  }
  if (loaded !== current) owner[key] = loaded;
}

function loadElements(
  loading: Loading,
  field: NamedFieldPlan,
  shape: ArrayShape,
  state: object,
): void | Promise<void> {
  const { collection } = field.element;
  const owner = ownerOf(field, state);
  const key = keyOf(field);
  const allocates = shape.kind === "counted" && shape.max !== undefined;
  let elements = owner[key] as Collection;
  if (!allocates && !collection.is(elements)) {
    throw loading.typeError(`is ${kindOf(elements)}, not ${collection.name}`);
  }
  let start = 0;
  let count: number;
  if (shape.kind === "counted") {
    count = amount(loading, shape, state, allocates ? Infinity : elements.length);
    if (allocates) owner[key] = elements = collection.create!(count);
  } else {
    ({ start, length: count } = shape);
    checkLength(loading, shape, elements);
  }
  if (collection.bulk > 0 && !field.nullable) {
    return loadNumbers(loading, elements as unknown as ArrayBufferView, start, count);
  }
  return loadEach(loading, field, elements, start, count);
}

async function loadEach(
  loading: Loading,
  field: NamedFieldPlan,
  elements: Collection,
  start: number,
  count: number,
): Promise<void> {
  const { element } = field;
  for (let i = start; i < start + count; i++) {
    loading.path.enter(i);
    const current = elements[i];
    if (field.nullable && current === null) {
      if (!loading.ready(1)) await loading.need(1);
      const marker = loading.take(1).getUint8(0);
      if (marker !== NULL_MARKER) {
        throw loading.incompatible(
          "is there in the stream and null here",
          loading.reader.position - 1,
        );
      }
    } else {
      let value = element.load(loading, current, element.size);
      if (value instanceof Promise) value = await value;
      if (value !== current) elements[i] = value;
    }
    loading.path.leave();
  }
}

/** The count that a property holds, which an earlier field may have loaded: nothing to trust. */
function amount(loading: Loading, by: Amount, state: object, storage: number): number {
  const most = by.max ?? storage;
  const value = amountOf(by, state);
  if (value !== undefined && value <= most) return value;
  const held = (state as Record<string, unknown>)[by.property];
  const range = most === Infinity ? "a count is not negative" : `at most ${most} fit`;
  const times = by.multiply === 1 ? "" : ` times ${by.multiply}`;
  throw loading.formatError(
    `is counted by ${by.property}, which is ${String(held)}${times}: ${range}`,
  );
}
