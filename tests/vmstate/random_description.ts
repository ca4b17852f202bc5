/**
 * Descriptions and states made at random, always the same for the same seed.
 *
 * @module
 */
import { array, array2d, nullable, subArray, varray } from "../../src/vmstate/arrays.ts";
import { bitmap, buffer, text, unused, vbuffer } from "../../src/vmstate/buffers.ts";
import type { ArrayElement, Field, UnboundField } from "../../src/vmstate/field.ts";
import { gtreeDirectKey, qlist, qtailq } from "../../src/vmstate/lists.ts";
import * as scalars from "../../src/vmstate/scalars.ts";
import { struct, vstruct } from "../../src/vmstate/structs.ts";
import { type VMState, vmstate } from "../../src/vmstate/vmstate.ts";

/** A state whose type is known when the program runs only. */
export type State = Record<string, unknown>;

const declare = vmstate as unknown as (name: string, declaration: object) => VMState<State>;

/** Numbers that only look random. */
export class Random {
  #state: number;

  /** @param seed The same seed gives the same numbers. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  /** One of several. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** Fills a buffer. */
  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.below(256);
  }
}

/** A field and how to make a value of it. */
interface Part {
  readonly field: Field | UnboundField;
  /** Makes the property what the stream does not make it: says which elements are `null`. */
  prepare?(state: State, key: string): void;
  /** Gives the property its value. */
  fill(state: State, key: string): void;
}

const NUMBERS: readonly (() => ArrayElement<never, unknown>)[] = [
  scalars.int8,
  scalars.int16,
  scalars.int32,
  scalars.int64,
  scalars.uint8,
  scalars.uint16,
  scalars.uint32,
  scalars.uint64,
  scalars.float32,
  scalars.float64,
  scalars.timer,
  scalars.cpuDouble,
];

/** A description with a way to make its states; `description.create()` makes one to load into. */
export interface RandomDevice {
  readonly description: VMState<State>;
  /** A state with values. */
  fill(): State;
}

/**
 * Makes a description.
 * @param depth How deep descriptions may nest.
 */
export function randomDevice(random: Random, depth: number, name = "d"): RandomDevice {
  const fields: State = {};
  const parts: [string, Part][] = [];
  const count = 1 + random.below(6);
  for (let i = 0; i < count; i++) {
    const part = randomPart(random, depth, `${name}${i}`, fields, i);
    const key = part.field.binds === "property" ? `f${i}` : `$f${i}`;
    fields[key] = part.field;
    parts.push([key, part]);
  }
  const needed = random.below(2) === 1;
  const subsections = depth > 0 && random.below(3) === 0
    ? [declare(`${name}/sub`, { fields: { sub: scalars.uint32() }, needed: () => needed })]
    : [];
  const plain = declare(name, { fields, subsections });
  const create = () => {
    const state = plain.create();
    for (const [key, part] of parts) part.prepare?.(state, key);
    return state;
  };
  const fill = () => {
    const state = create();
    for (const [key, part] of parts) part.fill(state, key);
    if (subsections.length > 0 && needed) state.sub = random.below(1000);
    return state;
  };
  return { description: declare(name, { fields, subsections, create }), fill };
}

function randomPart(
  random: Random,
  depth: number,
  name: string,
  fields: State,
  index: number,
): Part {
  const number = random.pick(NUMBERS);
  const length = random.below(5);
  const pattern = random.below(16);
  const numbers = (state: State, key: string) => {
    const view = state[key] as ArrayBufferView;
    random.fill(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  };
  const counted = (make: (count: string) => Field, value: (count: number) => unknown): Part => {
    const key = `n${index}`;
    fields[key] = scalars.uint8();
    return {
      field: make(key),
      fill(state, own) {
        state[key] = length;
        state[own] = value(length);
      },
    };
  };
  const nested = depth > 0 ? randomDevice(random, depth - 1, name) : undefined;
  const states = (count: number) => Array.from({ length: count }, () => nested!.fill());
  const flat: (() => Part)[] = [
    () => ({ field: scalars.bool(), fill: (state, key) => void (state[key] = length > 2) }),
    () => ({
      field: scalars.int32(),
      fill: (state, key) => void (state[key] = random.below(2 ** 31) - 2 ** 30),
    }),
    () => ({
      field: scalars.uint64(),
      fill: (state, key) => void (state[key] = BigInt(random.below(2 ** 31)) << 32n),
    }),
    () => ({ field: array(number(), length) as Field, fill: numbers }),
    () => ({ field: array2d(number(), length, 2) as Field, fill: numbers }),
    () => ({ field: buffer(length), fill: numbers }),
    () => ({ field: text(8), fill: (state, key) => void (state[key] = "x".repeat(length)) }),
    () => ({ field: unused(length), fill: () => {} }),
    () => ({
      field: subArray(number(), { start: 0, length }) as Field,
      fill: numbers,
    }),
    () =>
      counted(
        (count) => varray(scalars.uint16(), { count, max: 4 }) as Field,
        (count) => new Uint16Array(count).fill(random.below(65536)),
      ),
    () =>
      counted(
        (size) => vbuffer({ size, max: 4 }) as Field,
        (size) => new Uint8Array(size).fill(random.below(256)),
      ),
    () =>
      counted(
        (size) => bitmap({ size, max: 4 }) as Field,
        (bits) => new BigUint64Array(Math.ceil(bits / 64)).fill(BigInt(random.below(2 ** 31))),
      ),
    () => ({
      field: array(nullable(struct(vmstate("leaf", { fields: { f: scalars.uint8() } }))), length),
      prepare: (state, key) =>
        void (state[key] = Array.from({ length }, (_, i) => (pattern >> i) & 1 ? { f: 0 } : null)),
      fill(state, key) {
        for (const leaf of state[key] as ({ f: number } | null)[]) {
          if (leaf) leaf.f = random.below(256);
        }
      },
    }),
  ];
  if (!nested) return random.pick(flat)();
  const { description } = nested;
  const deep: (() => Part)[] = [
    () => ({ field: struct(description), fill: (state, key) => void (state[key] = nested.fill()) }),
    () => ({
      field: vstruct(description, 1),
      fill: (state, key) => void (state[key] = nested.fill()),
    }),
    () => ({
      field: array(struct(description), length),
      fill: (state, key) => void (state[key] = states(length)),
    }),
    () => ({
      field: random.pick([qtailq, qlist])(description, { max: 4 }),
      fill: (state, key) => void (state[key] = states(length)),
    }),
    () => ({
      field: gtreeDirectKey({ value: description, max: 4 }),
      fill: (state, key) =>
        void (state[key] = new Map(states(length).map((each, i) => [BigInt(i), each]))),
    }),
  ];
  return random.pick([...flat, ...deep])();
}
