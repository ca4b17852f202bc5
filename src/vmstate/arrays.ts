/**
 * Arrays: of fixed size, parts of them, and of a size that another property holds (wire-format §4.1;
 * QEMU `include/migration/vmstate.h`, the `VMS_ARRAY` and `VMS_VARRAY` flags).
 *
 * An array of numbers is a typed array, any other an `Array`. Loading fills the array that is there,
 * unless it is told a `max` and makes one.
 *
 * @module
 */
import { amountPlan } from "./buffers.ts";
import {
  type ArrayElement,
  checkedInteger,
  Element,
  Field,
  type FieldOptions,
  fieldPlan,
} from "./field.ts";
import type { ElementPlan, FieldPlan, Shape } from "./plan.ts";

/** Where the number of elements stands, and what limits it. */
export interface CountOptions<K extends string> {
  /** The property that holds the count; a field before this one if the stream is to say it. */
  readonly count: K;
  /** What the property is multiplied by. @default {1} */
  readonly multiply?: number;
  /**
   * The most elements that are accepted. With it loading makes a new array of the right length; without
   * it loading fills the one that is there, and its length is the limit.
   */
  readonly max?: number;
}

/** The element of an array that a blank state has with `length` elements, or does not have. */
function arrayPlan(element: ElementPlan, length: number | undefined): ElementPlan {
  const { create: _, ...rest } = element;
  const { create } = element.collection;
  return length === undefined || !create ? rest : { ...rest, create: () => create(length) };
}

function elementOf<Fixed, Fresh>(element: ArrayElement<Fixed, Fresh>): FieldPlan {
  const { plan } = element;
  if (plan.since > 0 || plan.exists || plan.name !== undefined) {
    throw new TypeError("The options of an array belong to the array, not to its elements");
  }
  return plan;
}

function arrayField<Fixed, Fresh, S>(
  element: ArrayElement<Fixed, Fresh>,
  options: FieldOptions<S>,
  shape: Shape,
  blankLength: number | undefined,
) {
  const { element: each, nullable } = elementOf(element);
  return fieldPlan(arrayPlan(each, blankLength), options, { shape, nullable });
}

/**
 * A fixed number of elements.
 * @param element What they are: `uint32()`, `struct(point)`, `nullable(struct(point))`.
 * @param length How many; the property has exactly that length.
 */
export function array<Fixed, Fresh, S = unknown>(
  element: ArrayElement<Fixed, Fresh>,
  length: number,
  options: FieldOptions<S> = {},
): Field<Fixed, S, never> {
  checkedInteger(length, "length");
  const shape: Shape = { kind: "fixed", start: 0, length, exact: true };
  return new Field(arrayField(element, options, shape, length));
}

/**
 * A fixed number of rows and columns: one array of `rows * columns` elements, row after row.
 * @param element What they are.
 */
export function array2d<Fixed, Fresh, S = unknown>(
  element: ArrayElement<Fixed, Fresh>,
  rows: number,
  columns: number,
  options: FieldOptions<S> = {},
): Field<Fixed, S, never> {
  return array(element, checkedInteger(rows, "rows") * checkedInteger(columns, "columns"), options);
}

/**
 * Some elements of an array; the others are not sent.
 * @param element What they are.
 * @param part The first of them and how many; the property has at least these.
 */
export function subArray<Fixed, Fresh, S = unknown>(
  element: ArrayElement<Fixed, Fresh>,
  part: { readonly start?: number; readonly length: number },
  options: FieldOptions<S> = {},
): Field<Fixed, S, never> {
  const { start = 0, length } = part;
  const wanted = checkedInteger(start, "start") + checkedInteger(length, "length");
  return new Field(
    arrayField(element, options, { kind: "fixed", start, length, exact: false }, wanted),
  );
}

/**
 * As many elements as another property says.
 *
 * @example
 * ```ts
 * vmstate("trail", {
 *   fields: { length: uint32(), positions: varray(float64(), { count: "length", max: 10_000 }) },
 * });
 * ```
 * @param element What they are.
 */
export function varray<Fixed, Fresh, const K extends string, S = unknown>(
  element: ArrayElement<Fixed, Fresh>,
  options: FieldOptions<S> & CountOptions<K> & { readonly max: number },
): Field<Fixed, S & Record<K, number>, Fresh>;
/** As many elements as another property says, in an array that is there already. */
export function varray<Fixed, Fresh, const K extends string, S = unknown>(
  element: ArrayElement<Fixed, Fresh>,
  options: FieldOptions<S> & CountOptions<K>,
): Field<Fixed, S & Record<K, number>, never>;
export function varray<Fixed, Fresh, const K extends string, S = unknown>(
  element: ArrayElement<Fixed, Fresh>,
  options: FieldOptions<S> & CountOptions<K>,
): Field<Fixed, S & Record<K, number>, Fresh> {
  const amount = amountPlan(options.count, options);
  const { nullable, element: { collection } } = elementOf(element);
  if (amount.max !== undefined && (nullable || !collection.create)) {
    throw new TypeError(
      `Elements of ${options.count} cannot be made here: leave out max, or declare how to create one`,
    );
  }
  return new Field(
    arrayField(
      element,
      options,
      { kind: "counted", ...amount },
      amount.max === undefined ? undefined : 0,
    ),
  );
}

/**
 * An element of an array that may be missing: what QEMU calls an array of pointers. Which elements are
 * `null` must be the same on both sides: the stream does not create them.
 * @param element What it is if it is there.
 */
export function nullable<In, Out>(
  element: Element<In, unknown, Out, never, unknown>,
): Element<In | null, unknown, Out | null, (In | null)[], never> {
  const plan = elementOf(element);
  const create = () => null;
  return new Element({
    ...plan,
    nullable: true,
    element: {
      ...plan.element,
      collection: {
        name: "an array",
        bulk: 0,
        is: Array.isArray,
        create: (length) => Array.from({ length }, create),
      },
    },
  });
}
