/**
 * A description of a device's state: which properties cross the wire, as what, in which order. It saves
 * and loads the state and describes what it sent (wire-format §4; QEMU `include/migration/vmstate.h`,
 * `VMStateDescription`).
 *
 * ```ts
 * const point = vmstate("point", { fields: { x: float64(), y: float64() } });
 *
 * const room = vmstate("room", {
 *   version: 2,
 *   fields: {
 *     name: text(32),
 *     open: bool(),
 *     origin: struct(point),
 *     scores: array(uint32(), 16),
 *     guests: qtailq(point, { max: 1000 }),
 *     closesAt: timer({ since: 2 }),
 *     $spare: unused(8),
 *   },
 *   postLoad(room) {
 *     if (room.open && room.closesAt === TIMER_NOT_ARMED) room.open = false;
 *   },
 * });
 *
 * type Room = StateOf<typeof room>; // { name: string; open: boolean; origin: { x: number; … }; … }
 * ```
 *
 * The fields' order is the wire's, and nothing but the values is on the wire: a description may only
 * change in ways that both sides can follow. New fields at the end come with `version` raised and
 * `since` set; what is there only at times goes into a subsection; what is not needed any more becomes
 * `unused()`. `compareDescriptions()` checks that.
 *
 * A count or length that the stream says is capped before anything is made of it: by the storage that
 * is there, or by the `max` that fields which make their storage are declared with.
 *
 * @module
 */
import type { Field, UnboundField } from "./field.ts";
import { describe } from "./describe.ts";
import type { DescriptionPlan } from "./plan.ts";

/** In which order devices are saved and loaded: the highest first, devices of the same in turn. */
export const MigrationPriority = {
  DEFAULT: 0,
  IOMMU: 1,
  PCI_BUS: 2,
  VIRTIO_MEM: 3,
  GICV3_ITS: 4,
  GICV3: 5,
} as const;

/** What a description has beside its fields. Every member is optional. */
export interface VMStateOptions<S> {
  /** The version that is saved, and the newest that can be loaded. @default {1} */
  readonly version?: number;
  /** The oldest version that can be loaded. @default {0} */
  readonly minimumVersion?: number;
  /** See {@linkcode MigrationPriority}. @default {0} */
  readonly priority?: number;
  /** The device cannot be migrated, and perhaps why: as long as it is there, no migration starts. */
  readonly unmigratable?: boolean | string;
  /** The device is saved while the migration is set up: before RAM, with the machine running. */
  readonly earlySetup?: boolean;
  /** Whether the device, or the subsection, is sent. Absent ones keep what the destination has. */
  readonly needed?: (state: S) => boolean;
  /** Whether the migration has to wait until the guest has given the device back. */
  readonly devUnplugPending?: (state: S) => boolean;
  /** Prepares the state for being saved. An error it throws fails the migration. */
  readonly preSave?: (state: S) => void;
  /** Undoes {@linkcode VMStateOptions.preSave}; called after a field failed, too. */
  readonly postSave?: (state: S) => void;
  /** Prepares the state for being loaded: sets what an older stream does not have. */
  readonly preLoad?: (state: S) => void | Promise<void>;
  /** Makes the device what the state says, and refuses what cannot be by throwing. */
  readonly postLoad?: (state: S, version: number) => void | Promise<void>;
}

/**
 * A description that can save and load states of type `S` and of types that have more than `S`. Made by
 * {@linkcode vmstate} and {@linkcode vmstateOf}.
 */
export class VMStateFor<S> {
  /** For the compiler only. */
  declare readonly "~takes": (state: S) => void;
  /** @internal What saving and loading walk. */
  readonly plan: DescriptionPlan;
  /** See {@linkcode VMStateOptions.priority}. */
  readonly priority: number;
  /** See {@linkcode VMStateOptions.unmigratable}. */
  readonly unmigratable: boolean | string;
  /** See {@linkcode VMStateOptions.earlySetup}. */
  readonly earlySetup: boolean;
  readonly #devUnplugPending: ((state: S) => boolean) | undefined;

  /** @internal Use {@linkcode vmstate}. */
  constructor(plan: DescriptionPlan, options: VMStateOptions<S>) {
    this.plan = plan;
    this.priority = options.priority ?? MigrationPriority.DEFAULT;
    this.unmigratable = options.unmigratable ?? false;
    this.earlySetup = options.earlySetup ?? false;
    this.#devUnplugPending = options.devUnplugPending;
  }

  /** What the stream calls it. */
  get name(): string {
    return this.plan.name;
  }

  /** The version that is saved. */
  get version(): number {
    return this.plan.version;
  }

  /** The oldest version that can be loaded. */
  get minimumVersion(): number {
    return this.plan.minimumVersion;
  }

  /** Whether a state is to be sent at all. */
  needed(state: S): boolean {
    return this.plan.hooks.needed?.(state as never) ?? true;
  }

  /** Whether the migration has to wait until the guest has given the device back. */
  devUnplugPending(state: S): boolean {
    return this.#devUnplugPending?.(state) ?? false;
  }
}

/** A description that can also make a state. */
export class VMState<S> extends VMStateFor<S> {
  /** For the compiler only. */
  declare readonly "~gives": () => S;

  /**
   * A new state, all zeros and empty.
   * @throws {TypeError} If a field's storage is the instance's affair and there is no `create`.
   */
  create(): S {
    const { create } = this.plan;
    if (!create) throw new TypeError(`A ${this.name} cannot be made: declare its create`);
    return create() as S;
  }
}

/** The type of the states a description works on. */
export type StateOf<D> = D extends VMStateFor<infer S> ? S : never;

/** The fields of a declaration, in the order of the stream. */
export interface Fields {
  /** A property of the state; with a `$` before it, something else. */
  readonly [key: string]: Field | UnboundField;
}

/** The state that fields describe. */
export type FieldsState<F> = {
  -readonly [K in keyof F as K extends `$${string}` ? never : K]: F[K] extends
    Field<infer In, infer _S, infer _Out> ? In : never;
};

/** The state that subsections describe. */
export type SubsectionsState<Subs extends readonly VMStateFor<never>[]> = [Subs[number]] extends
  [never] ? unknown : Intersection<StateOf<Subs[number]>>;

/** All members of a union at once. */
export type Intersection<U> = (U extends unknown ? (each: U) => void : never) extends
  (all: infer I) => void ? I : never;

/** The same type, as one object that is easy to read in messages. */
export type Flat<T> = T extends infer O ? { [K in keyof O]: O[K] } : never;

/** Checks that each field can be part of a state of type `S`. */
export type BoundTo<F, S> = {
  readonly [K in keyof F]: K extends `$${string}` ? UnboundField<S> : Field<never, S, unknown>;
};

/** The fields that a state of type `S` can have. */
export type FieldsFor<S> =
  & { readonly [K in keyof S]?: Field<S[K], S, S[K]> }
  & { readonly [label: `$${string}`]: UnboundField<S> };

/**
 * Declares a state by its fields. The state's type is what the fields say; a class that has these
 * properties, and more, will do.
 *
 * @example
 * ```ts
 * const counter = vmstate("counter", { fields: { value: uint32() } });
 * saveState(writer, counter, { value: 7 });
 * ```
 * @param name What the stream calls it: up to 255 bytes; `parent/name` for a subsection.
 * @param declaration The fields, in the order of the stream, and everything else. With `create`, the
 * state is what that makes, and lists of it are filled with such.
 * @throws {RangeError | TypeError} If the declaration contradicts itself.
 */
export function vmstate<
  F extends Fields,
  S extends Flat<FieldsState<F> & SubsectionsState<Subs>>,
  const Subs extends readonly VMStateFor<never>[] = [],
>(
  name: string,
  declaration: VMStateOptions<NoInfer<S>> & {
    readonly fields: F & BoundTo<F, NoInfer<S>>;
    readonly subsections?: Subs;
    readonly create?: () => S;
  },
): VMState<NoInfer<S>> {
  return new VMState<S>(describe(name, declaration, true), declaration);
}

/**
 * Declares the state of a type that exists already. Each field is checked against the property of its
 * name, and predicates and hooks know the type.
 *
 * @example
 * ```ts
 * class Door { open = false; closesAt = -1n; }
 * const door = vmstateOf<Door>("door", {
 *   fields: { open: bool(), closesAt: timer({ exists: (door) => door.open }) },
 *   create: () => new Door(), // only for lists of doors
 * });
 * ```
 * @param name What the stream calls it: up to 255 bytes; `parent/name` for a subsection.
 * @throws {RangeError | TypeError} If the declaration contradicts itself.
 */
export function vmstateOf<S extends object>(
  name: string,
  declaration: VMStateOptions<S> & {
    readonly fields: FieldsFor<S>;
    readonly subsections?: readonly VMStateFor<S>[];
    readonly create: () => S;
  },
): VMState<S>;
/** Declares the state of a type that exists already, of which loading never makes one. */
export function vmstateOf<S extends object>(
  name: string,
  declaration: VMStateOptions<S> & {
    readonly fields: FieldsFor<S>;
    readonly subsections?: readonly VMStateFor<S>[];
  },
): VMStateFor<S>;
export function vmstateOf<S extends object>(
  name: string,
  declaration: VMStateOptions<S> & {
    readonly fields: FieldsFor<S>;
    readonly subsections?: readonly VMStateFor<S>[];
    readonly create?: () => S;
  },
): VMStateFor<S> {
  return new VMState<S>(describe(name, declaration, false), declaration);
}
