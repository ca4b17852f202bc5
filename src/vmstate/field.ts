/**
 * The types of a declaration: a field knows which values it takes from a state and gives to it, and
 * what it needs of the rest of the state. The compiler compares them; nothing of them exists when the
 * program runs.
 *
 * @module
 */
import type { ElementPlan, FieldPlan, Shape } from "./plan.ts";

/** What every field can be declared with. */
export interface FieldOptions<S = unknown> {
  /** What the JSON description calls the field. @default {the property's name} */
  readonly name?: string;
  /**
   * The first version of the description that has the field: it is not read from older streams. QEMU's
   * `_V` macros.
   * @default {0}
   */
  readonly since?: number;
  /**
   * Whether the field is in the stream: asked when saving, and again when loading, with what was loaded
   * until then. It replaces {@linkcode FieldOptions.since}. QEMU's `_TEST` macros.
   * @param state The state the field is a part of.
   * @param version The version that is saved or loaded.
   */
  readonly exists?: (state: S, version: number) => boolean;
}

/** For the compiler only: the types of a {@linkcode Field}. */
export interface FieldTypes<In, S, Out> {
  /** What the property must be: a value that can be saved, or storage that can be filled. */
  readonly takes: (value: In) => void;
  /** What the field needs of the whole state: its count, what its predicate looks at. */
  readonly needs: (state: S) => void;
  /** What loading assigns to the property; `never` if it fills what is there. */
  readonly gives: () => Out;
}

/**
 * A field that is a property of the state. Made by functions such as `uint32()`, `array()`, `qtailq()`.
 *
 * - `In`: what the property must be;
 * - `S`: what the rest of the state must be;
 * - `Out`: what loading assigns.
 */
export class Field<In = never, S = never, Out = unknown> {
  /** For the compiler only. */
  declare readonly "~types": FieldTypes<In, S, Out>;
  /** Tells it from an {@linkcode UnboundField}. */
  readonly binds = "property";
  /** @internal What saving and loading walk. */
  readonly plan: FieldPlan;

  /** @internal Use the functions that make fields. */
  constructor(plan: FieldPlan) {
    this.plan = plan;
  }
}

/** For the compiler only: what arrays of an {@linkcode Element} are. */
export interface ArrayTypes<Fixed, Fresh> {
  /** The property of an array that loading fills. */
  readonly fixed: (array: Fixed) => void;
  /** The array that loading makes. */
  readonly fresh: () => Fresh;
}

/** A field of one value, which can also be the element of an array. */
export class Element<In = never, S = never, Out = unknown, Fixed = never, Fresh = unknown>
  extends Field<In, S, Out> {
  /** For the compiler only. */
  declare readonly "~array": ArrayTypes<Fixed, Fresh>;
}

/**
 * A part of the stream that is no property of the state: its label in the declaration begins with `$`.
 * Made by `unused()`, `validate()`, `withTmp()`, `at()`.
 */
export class UnboundField<S = never> {
  /** For the compiler only: what it needs of the state. */
  declare readonly "~needs": (state: S) => void;
  /** Tells it from a {@linkcode Field}. */
  readonly binds = "nothing";
  /** @internal What saving and loading walk. */
  readonly plan: FieldPlan;

  /** @internal Use the functions that make fields. */
  constructor(plan: FieldPlan) {
    this.plan = plan;
  }
}

/** An element that an array can be declared with: one without options of its own. */
export type ArrayElement<Fixed, Fresh> = Element<never, unknown, unknown, Fixed, Fresh>;

/** @internal Makes the plan of a field. */
export function fieldPlan<S>(
  element: ElementPlan,
  options: FieldOptions<S>,
  more: Partial<FieldPlan> = {},
): FieldPlan {
  const { name, since = 0, exists } = options;
  return {
    name,
    since: checkedInteger(since, "since"),
    exists,
    mustExist: false,
    source: "property",
    elsewhere: undefined,
    element,
    shape: SINGLE,
    sizeBy: undefined,
    nullable: false,
    ...more,
  };
}

/** @internal The shape of a field that is no array. */
export const SINGLE: Shape = { kind: "single" };

/**
 * @internal Refuses what is no length or version.
 * @throws {RangeError} If the value is not an integer from 0 to 2^31 - 1.
 */
export function checkedInteger(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) {
    throw new RangeError(`${what} is ${value}, not an integer from 0 to 2147483647`);
  }
  return value;
}
