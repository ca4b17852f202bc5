/**
 * Lists and trees, whose length the stream says as it goes (wire-format §4.1; QEMU
 * `migration/vmstate-types.c`, `vmstate_info_qtailq`, `vmstate_info_qlist`, `vmstate_info_gtree`).
 *
 * @module
 */
import { valueArrays } from "./collections.ts";
import { checkedInteger, Field, type FieldOptions, fieldPlan } from "./field.ts";
import { loadDescription } from "./load_state.ts";
import type { Loading } from "./loading.ts";
import { type ElementPlan, kindOf } from "./plan.ts";
import { saveDescription } from "./save_state.ts";
import type { Saving } from "./saving.ts";
import { checkLoadable } from "./structs.ts";
import type { VMState } from "./vmstate.ts";
import type { VmsdJson } from "./vmsd_json.ts";

/** What every list can be declared with. */
export interface ListOptions<S = unknown> extends FieldOptions<S> {
  /** The most elements that are accepted; a stream with more is refused, and so is a state. */
  readonly max: number;
  /**
   * The first version with this field, as everywhere; it is also the version in which elements are
   * loaded, so it must be one that the element's description has.
   * @default {0}
   */
  readonly since?: number;
}

/**
 * A list: the property is an `Array`, whose elements loading replaces. QEMU's tail queue.
 *
 * @example
 * ```ts
 * const player = vmstate("player", { fields: { id: uint32(), health: uint8() } });
 * const room = vmstate("room", { fields: { players: qtailq(player, { max: 1000 }) } });
 * ```
 * @param description What an element is.
 */
export function qtailq<C extends object, S = unknown>(
  description: VMState<C>,
  options: ListOptions<S>,
): Field<C[], S, C[]> {
  return list("qtailq", description, options);
}

/** A list as {@linkcode qtailq}, for peers that keep it in QEMU's other kind of list. */
export function qlist<C extends object, S = unknown>(
  description: VMState<C>,
  options: ListOptions<S>,
): Field<C[], S, C[]> {
  return list("qlist", description, options);
}

function list<C extends object, S>(
  type: "qtailq" | "qlist",
  description: VMState<C>,
  options: ListOptions<S>,
): Field<C[], S, C[]> {
  const child = description.plan;
  const max = checkedInteger(options.max, "max");
  const version = options.since ?? 0;
  checkLoadable(child, version, `${type}()`);
  const element: ElementPlan = {
    type,
    size: 0,
    child,
    wrap: "inline",
    collection: valueArrays(undefined),
    create: () => [],
    save(saving, value, _size, describe) {
      if (!Array.isArray(value)) throw saving.typeError(`is ${kindOf(value)}, not an array`);
      checkMax(saving, value.length, max);
      const json = {};
      value.forEach((each: object, i) => {
        saving.path.enter(i);
        saving.writer.u8(1);
        Object.assign(json, saveDescription(saving, child, each, child.version, describe));
        saving.path.leave();
      });
      saving.writer.u8(0);
      return json as VmsdJson;
    },
    async load(loading, current) {
      const elements = current as C[];
      if (!Array.isArray(elements)) {
        throw loading.typeError(`is ${kindOf(elements)}, not an array`);
      }
      elements.length = 0;
      while (await another(loading)) {
        if (elements.length === max) throw tooMany(loading, max);
        loading.path.enter(elements.length);
        const each = description.create();
        await loadDescription(loading, child, each, version);
        elements.push(each);
        loading.path.leave();
      }
      return elements;
    },
  };
  return new Field(fieldPlan(element, options));
}

/** Whether the list goes on: any byte but 0 says so. */
async function another(loading: Loading): Promise<boolean> {
  if (!loading.ready(1)) await loading.need(1);
  return loading.take(1).getUint8(0) !== 0;
}

function tooMany(loading: Loading, max: number): Error {
  return loading.formatError(`has more than ${max} elements`, loading.reader.position - 1);
}

function checkMax(saving: Saving, length: number, max: number): void {
  if (length > max) {
    throw saving.rangeError(`has ${length} elements: at most ${max} may be`);
  }
}

/** How the keys of a tree cross the wire. */
interface KeyCodec<K> {
  save(saving: Saving, key: K, describe: boolean): VmsdJson | undefined;
  load(loading: Loading, version: number): Promise<K>;
}

const directKey: KeyCodec<bigint> = {
  save(saving, key): undefined {
    if (typeof key !== "bigint" || BigInt.asUintN(64, key) !== key) {
      throw saving.rangeError(`has the key ${String(key)}, which is no bigint of 64 bits`);
    }
    saving.writer.be64(key);
  },
  load: (loading) => loading.reader.be64(loading.path.toString()),
};

function describedKey<K extends object>(description: VMState<K>): KeyCodec<K> {
  const { plan } = description;
  return {
    save: (saving, key, describe) =>
      saveDescription(saving, plan, key, description.version, describe),
    async load(loading, version) {
      const key = description.create();
      await loadDescription(loading, plan, key, version);
      return key;
    },
  };
}

/**
 * A tree with keys of their own description: the property is a `Map`, whose entries loading replaces.
 * @param options `key` and `value` say what an entry is; `compare` puts the entries into the tree's
 * order when saving, as QEMU walks a tree in the order of its keys. @default {the map's order}
 */
export function gtree<K extends object, V extends object, S = unknown>(
  options: ListOptions<S> & {
    readonly key: VMState<K>;
    readonly value: VMState<V>;
    readonly compare?: (a: K, b: K) => number;
  },
): Field<Map<K, V>, S, Map<K, V>> {
  checkLoadable(options.key.plan, options.since ?? 0, "gtree()");
  return tree(describedKey(options.key), options.value, options.compare, options);
}

/**
 * A tree with bigints of 64 bits as keys: the property is a `Map`, whose entries loading replaces.
 * Saving sends them in ascending order.
 * @param options `value` says what a value is.
 */
export function gtreeDirectKey<V extends object, S = unknown>(
  options: ListOptions<S> & { readonly value: VMState<V> },
): Field<Map<bigint, V>, S, Map<bigint, V>> {
  return tree(directKey, options.value, (a, b) => a < b ? -1 : a > b ? 1 : 0, options);
}

function tree<K, V extends object, S>(
  keys: KeyCodec<K>,
  value: VMState<V>,
  compare: ((a: K, b: K) => number) | undefined,
  options: ListOptions<S>,
): Field<Map<K, V>, S, Map<K, V>> {
  const child = value.plan;
  const max = checkedInteger(options.max, "max");
  const version = options.since ?? 0;
  checkLoadable(child, version, "gtree()");
  const element: ElementPlan = {
    type: "gtree",
    size: 0,
    child,
    wrap: "inline",
    collection: valueArrays(undefined),
    create: () => new Map(),
    save(saving, map, _size, describe) {
      if (!(map instanceof Map)) throw saving.typeError(`is ${kindOf(map)}, not a Map`);
      checkMax(saving, map.size, max);
      const entries: [K, V][] = [...map];
      if (compare) entries.sort(([a], [b]) => compare(a, b));
      const json = {};
      saving.writer.be32(entries.length);
      entries.forEach(([key, each], i) => {
        saving.path.enter(i);
        saving.writer.u8(1);
        Object.assign(json, keys.save(saving, key, describe));
        Object.assign(json, saveDescription(saving, child, each, child.version, describe));
        saving.path.leave();
      });
      saving.writer.u8(0);
      return json as VmsdJson;
    },
    async load(loading, map) {
      if (!(map instanceof Map)) throw loading.typeError(`is ${kindOf(map)}, not a Map`);
      const count = await loading.reader.be32(loading.path.toString());
      if (count > max) throw tooMany(loading, max);
      map.clear();
      let read = 0;
      for (; await another(loading); read++) {
        if (read === count) throw loading.formatError(`has more than the ${count} nodes it counts`);
        loading.path.enter(read);
        const key = await keys.load(loading, version);
        const each = value.create();
        await loadDescription(loading, child, each, version);
        map.set(key, each);
        loading.path.leave();
      }
      if (read < count) throw loading.formatError(`has ${read} nodes, not the ${count} it counts`);
      return map;
    },
  };
  return new Field(fieldPlan(element, options));
}
