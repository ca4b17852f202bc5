/**
 * Parts of a declaration that are no property of the state: checks, and values that another object has.
 *
 * @module
 */
import { valueArrays } from "./collections.ts";
import { type Field, fieldPlan, UnboundField } from "./field.ts";
import type { ElementPlan } from "./plan.ts";

const NOTHING: ElementPlan = {
  type: "unknown",
  size: 0,
  collection: valueArrays(undefined),
  save: () => undefined,
  load: () => undefined,
};

/**
 * Checks the state at this point of the stream, when saving and when loading: what was loaded until
 * then is in the state. Takes no bytes.
 *
 * @example
 * ```ts
 * vmstate("ring", {
 *   fields: {
 *     head: uint32(),
 *     tail: uint32(),
 *     $inside: validate((ring: { head: number; tail: number }) => ring.head < 64 && ring.tail < 64),
 *   },
 * });
 * ```
 * @param holds Whether the state can be true; if not, the migration fails.
 */
export function validate<S = unknown>(
  holds: (state: S, version: number) => boolean,
): UnboundField<S> {
  return new UnboundField(fieldPlan(NOTHING, { exists: holds }, {
    mustExist: true,
    source: "nothing",
    shape: { kind: "fixed", start: 0, length: 0, exact: true },
  }));
}

/** The properties of an object, while the compiler does not know the object yet: any. */
export type KeyOf<O> = object extends O ? string : keyof O;

/** The fields that can be an object's property. */
export type FieldAt<O, K, S> = object extends O ? Field
  : K extends keyof O ? Field<O[K], S, O[K]>
  : never;

/**
 * A value that another object has as a property: a part of the state that stands in an odd place of the
 * stream, or the same property in the form of an older version.
 *
 * @example
 * ```ts
 * $firstX: at((room: Room) => room.players[0]!, "x", uint32()),
 * ```
 * @param owner Finds the object.
 * @param key The object's property.
 * @param field How its value crosses the wire; predicates and counts see the state, as everywhere.
 */
export function at<S, O extends object, const K extends string>(
  owner: (state: S) => O,
  key: K & KeyOf<O>,
  field: NoInfer<FieldAt<O, K, S>>,
): UnboundField<S> {
  const { plan } = field;
  return new UnboundField({
    ...plan,
    name: plan.name ?? key,
    elsewhere: { owner, key },
  });
}
