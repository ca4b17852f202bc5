/**
 * What a declaration becomes: plain records without the declaration's types, which saving, loading,
 * dumping and comparing walk. The types were checked when the declaration was compiled.
 *
 * @module
 */
import type { Loading } from "./loading.ts";
import type { Saving } from "./saving.ts";
import type { VmsdJson } from "./vmsd_json.ts";

/** A typed array or an array: what holds the elements of an array field. */
export interface Collection {
  readonly length: number;
  [index: number]: unknown;
}

/** What arrays of an element are made of. */
export interface CollectionPlan {
  /** For messages: `Uint32Array`. */
  readonly name: string;
  /** Bytes of an element if the collection is a typed array whose bytes are the wire's, or 0. */
  readonly bulk: number;
  is(value: unknown): boolean;
  create?(length: number): Collection;
}

/** How one value crosses the wire. */
export interface ElementPlan {
  /** Its name in the JSON description. */
  readonly type: string;
  /** Bytes on the wire, or 0 where that varies. */
  readonly size: number;
  /** The description of what is inside, if there is one. */
  readonly child?: DescriptionPlan;
  /** Where the JSON of what is inside goes: under `struct`, or between the field's own keys. */
  readonly wrap?: "struct" | "inline";
  readonly collection: CollectionPlan;
  /** Makes a value to load into; missing if only the instance knows how. */
  readonly create?: () => unknown;
  /** The largest size that the value, as it is, can be loaded with. */
  readonly capacity?: (value: unknown) => number;
  /**
   * Appends the value.
   * @param size The element's size; what the field's size property says where there is one.
   * @param describe Whether the JSON of what is inside is wanted.
   */
  save(saving: Saving, value: unknown, size: number, describe: boolean): VmsdJson | undefined;
  /**
   * Reads a value.
   * @returns The value, or a promise of it where bytes have to be waited for: so that loading many
   * small values that have arrived takes no turn of the event loop for each.
   */
  load(loading: Loading, current: unknown, size: number): unknown;
}

/** How many elements a field has, and where they are. */
export type Shape =
  | { readonly kind: "single" }
  /** `exact`: the collection has no elements but these. */
  | {
    readonly kind: "fixed";
    readonly start: number;
    readonly length: number;
    readonly exact: boolean;
  }
  | ({ readonly kind: "counted" } & Amount);

/** A {@linkcode Shape} with elements. */
export type ArrayShape = Exclude<Shape, { readonly kind: "single" }>;

/** A number that another property of the state holds. */
export interface Amount {
  readonly property: string;
  readonly multiply: number;
  /** The most that is accepted, and the sign that loading allocates; else the storage is the limit. */
  readonly max: number | undefined;
}

/** A field before it has a name. */
export interface FieldPlan {
  /** What the JSON calls it, if not the property's name. */
  readonly name: string | undefined;
  readonly since: number;
  readonly exists: ((state: never, version: number) => boolean) | undefined;
  /** A check and not a value: it is an error if it does not exist. */
  readonly mustExist: boolean;
  /** What the elements are: values of a property, the state itself, or nothing in the state. */
  readonly source: "property" | "state" | "nothing";
  /** The object and property that hold the value, where that is not the state and the field's label. */
  readonly elsewhere:
    | { readonly owner: (state: never) => object; readonly key: string }
    | undefined;
  readonly element: ElementPlan;
  readonly shape: Shape;
  /** The size of the one element, where a property says it. */
  readonly sizeBy: Amount | undefined;
  /** Elements may be `null`. */
  readonly nullable: boolean;
}

/** A field in its description. */
export interface NamedFieldPlan extends FieldPlan {
  readonly key: string;
  /** How messages show it after what it is part of: `.count`. */
  readonly segment: string;
  readonly plainName: string;
  /** The name in the JSON, unique in the description. */
  readonly jsonName: string;
  /** The JSON's name for an element that is `null`. */
  readonly nullName: string;
  /** Whether one element describes all: nothing in it may come and go. */
  readonly compressible: boolean;
}

/** A description. */
export interface DescriptionPlan {
  readonly name: string;
  /** The name in UTF-8: subsections are found by its bytes. */
  readonly nameBytes: Uint8Array;
  readonly version: number;
  readonly minimumVersion: number;
  readonly fields: readonly NamedFieldPlan[];
  readonly subsections: readonly DescriptionPlan[];
  readonly hooks: Hooks;
  readonly create: (() => object) | undefined;
}

/** The functions of a description, without its state's type. */
export interface Hooks {
  readonly needed: ((state: never) => boolean) | undefined;
  readonly preSave: ((state: never) => void) | undefined;
  readonly postSave: ((state: never) => void) | undefined;
  readonly preLoad: ((state: never) => void | Promise<void>) | undefined;
  readonly postLoad: ((state: never, version: number) => void | Promise<void>) | undefined;
}

/** Whether the field is on the wire in a version; its predicate, if it has one, is the only judge. */
export function fieldExists(field: FieldPlan, state: object, version: number): boolean {
  return field.exists ? field.exists(state as never, version) : field.since <= version;
}

/** The object that has the field's value as a property. */
export function ownerOf(field: NamedFieldPlan, state: object): Record<string, unknown> {
  const owner = field.elsewhere ? field.elsewhere.owner(state as never) : state;
  return owner as Record<string, unknown>;
}

/** The property of {@linkcode ownerOf} that holds the field's value. */
export function keyOf(field: NamedFieldPlan): string {
  return field.elsewhere?.key ?? field.key;
}

/** Refuses storage of another length than was declared; that is no fault of the stream. */
export function checkLength(
  place: { typeError(what: string): TypeError },
  shape: Extract<Shape, { readonly kind: "fixed" }>,
  elements: Collection,
): void {
  const wanted = shape.start + shape.length;
  if (shape.exact ? elements.length === wanted : elements.length >= wanted) return;
  const least = shape.exact ? "" : "at least ";
  throw place.typeError(`has ${elements.length} elements, not ${least}${wanted}`);
}

/** The number a property holds, times the declared factor; `undefined` if it is not a count. */
export function amountOf(amount: Amount, state: object): number | undefined {
  const count = (state as Record<string, unknown>)[amount.property];
  if (typeof count !== "number" || !Number.isInteger(count) || count < 0) return undefined;
  return count * amount.multiply;
}

/** A pointer that is NULL: the character `0`. */
export const NULL_MARKER = 0x30;

/** What a value is, for a message. */
export function kindOf(value: unknown): string {
  if (value === null || typeof value !== "object") return String(value);
  return `a value of ${value.constructor?.name ?? "no class"}`;
}
