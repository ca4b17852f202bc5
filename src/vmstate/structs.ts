/**
 * Descriptions inside descriptions (wire-format §4.1; QEMU `migration/vmstate.c`, the `VMS_STRUCT` and
 * `VMS_VSTRUCT` flags, and `vmstate_info_tmp`).
 *
 * @module
 */
import { valueArrays } from "./collections.ts";
import { checkedInteger, Element, type FieldOptions, fieldPlan, UnboundField } from "./field.ts";
import { loadDescription } from "./load_state.ts";
import { type DescriptionPlan, type ElementPlan, kindOf } from "./plan.ts";
import { saveDescription } from "./save_state.ts";
import type { VMState, VMStateFor } from "./vmstate.ts";

function structPlan(
  child: DescriptionPlan,
  type: "struct" | "vstruct",
  version: number,
): ElementPlan {
  return {
    type,
    size: sizeOf(child, version),
    child,
    wrap: type === "struct" ? "struct" : "inline",
    collection: valueArrays(child.create),
    ...(child.create ? { create: child.create } : {}),
    save(saving, value, _size, describe) {
      if (!isObject(value)) throw saving.typeError(`is ${kindOf(value)}, not a state to save`);
      return saveDescription(saving, child, value, version, describe);
    },
    async load(loading, current) {
      if (!isObject(current)) {
        throw loading.typeError(`is ${kindOf(current)}, not a state to load into`);
      }
      await loadDescription(loading, child, current, version);
      return current;
    },
  };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Bytes on the wire of a description's fields, or 0 if one varies. */
export function sizeOf(plan: DescriptionPlan, version: number): number {
  let total = 0;
  for (const field of plan.fields) {
    if (field.mustExist || (!field.exists && field.since > version)) continue;
    const { shape, element } = field;
    const size = (shape.kind === "fixed" ? shape.length : 1) * element.size;
    if (field.exists || field.nullable || shape.kind === "counted" || size === 0) return 0;
    total += size;
  }
  return plan.subsections.length > 0 ? 0 : total;
}

/**
 * A state inside the state; what QEMU calls a pointer to a struct is the same. It is filled where it is.
 * @param description What it is. Its version is not in the stream: both sides use their own.
 */
export function struct<C extends object, S = unknown>(
  description: VMState<C>,
  options?: FieldOptions<S>,
): Element<C, S, never, readonly C[], C[]>;
/** A state inside the state, of a class whose description cannot make one. */
export function struct<C extends object, S = unknown>(
  description: VMStateFor<C>,
  options?: FieldOptions<S>,
): Element<C, S, never, readonly C[], never>;
export function struct<C extends object, S = unknown>(
  description: VMStateFor<C>,
  options: FieldOptions<S> = {},
): Element<C, S, never, readonly C[], C[]> {
  return new Element(
    fieldPlan(structPlan(description.plan, "struct", description.version), options),
  );
}

/**
 * A state inside the state that is sent in a version that this field sets.
 * @param description What it is.
 * @param version Which of its versions; at most its own.
 * @throws {RangeError} If the description does not have that version.
 */
export function vstruct<C extends object, S = unknown>(
  description: VMStateFor<C>,
  version: number,
  options: FieldOptions<S> = {},
): Element<C, S, never, readonly C[], never> {
  checkedInteger(version, "version");
  if (version > description.version || version < description.minimumVersion) {
    throw new RangeError(
      `${description.name} has versions ${description.minimumVersion} to ${description.version}, ` +
        `not ${version}`,
    );
  }
  return new Element(fieldPlan(structPlan(description.plan, "vstruct", version), options));
}

/** How a {@linkcode withTmp} value relates to the state. */
export interface TmpOptions<S, T> extends FieldOptions<S> {
  /** Computes what is sent. */
  readonly save: (state: S) => T;
  /** Takes what was received. An error it throws fails the migration. */
  readonly load: (state: S, tmp: T) => void;
  /** Makes what is loaded into. @default {the description's own way} */
  readonly create?: (state: S) => T;
}

/**
 * Sends what is computed from the state, and computes the state from what arrives.
 *
 * @example A delay that is kept as a moment and sent as what is left of it:
 * ```ts
 * const left = vmstate("door/left", { fields: { milliseconds: uint32() } });
 * vmstate("door", {
 *   fields: {
 *     closesAt: …,
 *     $left: withTmp(left, {
 *       save: (door: Door) => ({ milliseconds: door.closesAt - performance.now() }),
 *       load: (door, { milliseconds }) => { door.closesAt = performance.now() + milliseconds; },
 *     }),
 *   },
 * });
 * ```
 * @param description What is sent.
 * @throws {RangeError} If the two sides would disagree: loading uses the field's `since` as version.
 */
export function withTmp<T extends object, S = unknown>(
  description: VMState<T>,
  options: TmpOptions<S, T>,
): UnboundField<S> {
  const child = description.plan;
  const { save, load, create } = options;
  const version = options.since ?? 0;
  checkLoadable(child, version, "withTmp()", create !== undefined);
  const element: ElementPlan = {
    type: "tmp",
    size: sizeOf(child, child.version),
    child,
    wrap: "inline",
    collection: valueArrays(undefined),
    save(saving, state, _size, describe) {
      return saveDescription(saving, child, save(state as S), child.version, describe);
    },
    async load(loading, state) {
      const tmp = create ? create(state as S) : description.create();
      await loadDescription(loading, child, tmp, version);
      try {
        load(state as S, tmp);
      } catch (thrown) {
        throw loading.failed("", thrown);
      }
      return state;
    },
  };
  const named = { name: "tmp", ...options };
  return new UnboundField(fieldPlan(element, named, { source: "state" }));
}

/**
 * @internal Refuses a description that cannot be loaded by way of a list or a `tmp`: its saved form is
 * that of its own version and is loaded in the version of the field that holds it, into a new state.
 * @param made Whether the new state comes from elsewhere.
 * @throws {RangeError} If the two versions differ in what they have.
 * @throws {TypeError} If there is no way to make a state.
 */
export function checkLoadable(
  plan: DescriptionPlan,
  version: number,
  maker: string,
  made = false,
): void {
  if (!made && !plan.create) {
    throw new TypeError(`${maker} has to make a ${plan.name}: declare its create`);
  }
  const late = plan.fields.find((field) => !field.exists && field.since > version);
  const problem = version > plan.version
    ? `which is newer than its newest, ${plan.version}`
    : version < plan.minimumVersion
    ? `which is older than its oldest, ${plan.minimumVersion}`
    : late
    ? `which has no "${late.plainName}"`
    : undefined;
  if (problem === undefined) return;
  throw new RangeError(
    `${maker} loads ${plan.name} in version ${version}, ${problem}: set the field's since to fit`,
  );
}
