/**
 * What arrays of each kind of element are made of.
 *
 * @module
 */
import type { Collection, CollectionPlan } from "./plan.ts";

/** The classes of typed arrays that hold numbers of the stream. */
type NumberArrayConstructor = {
  new (length: number): ArrayBufferView;
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
};

/**
 * Typed arrays.
 * @param type Their class.
 * @param bulk Whether their bytes are the wire's, so that they need not be looked at one by one.
 */
export function typedArrays(type: NumberArrayConstructor, bulk: boolean): CollectionPlan {
  return {
    name: `a ${type.name}`,
    bulk: bulk ? type.BYTES_PER_ELEMENT : 0,
    is: (value) => value instanceof type,
    create: (length) => new type(length) as unknown as Collection,
  };
}

/** Arrays. @param create Makes an element, if that can be done here. */
export function valueArrays(create: (() => unknown) | undefined): CollectionPlan {
  return {
    name: "an array",
    bulk: 0,
    is: Array.isArray,
    ...(create ? { create: (length: number) => Array.from({ length }, create) } : {}),
  };
}
