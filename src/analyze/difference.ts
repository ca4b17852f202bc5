/**
 * What comparing two streams finds.
 *
 * @module
 */
import type { Analysis } from "./analysis.ts";
import type { PageReader, PageTable } from "./page_table.ts";

/** One of the two. */
export interface Compared {
  readonly analysis: Analysis;
  readonly table: PageTable;
  readonly reader: PageReader;
}

/** Who has something. */
export type Side = "first" | "second" | "both";

/** Two values that are not the same; `undefined` is what one side does not have. */
export interface Difference {
  /** What it is: a field's path, `version`, `machine`. */
  readonly what: string;
  readonly first: string | undefined;
  readonly second: string | undefined;
}

/** A device that differs. */
export interface DeviceDifference {
  /** Its section's name and instance. */
  readonly device: string;
  /** Which of the two has it; if both do, its fields differ. */
  readonly in: Side;
  /** Its fields that differ; there may be more than are listed. */
  readonly fields: readonly Difference[];
  /** How many there are. */
  readonly count: number;
}

/** A RAM block that differs. */
export interface BlockDifference {
  readonly block: string;
  /** Which of the two has it; if both do, its length or its pages differ. */
  readonly in: Side;
  /** Both lengths, if these differ; no pages are compared beyond the shorter one. */
  readonly length?: readonly [number, number];
  /** How many pages differ. */
  readonly pages: number;
  /** Runs of pages that differ, as offset and length in bytes; there may be more than are listed. */
  readonly ranges: readonly (readonly [offset: number, length: number])[];
  /** How many runs there are. */
  readonly rangeCount: number;
}

/** All that differs. */
export interface StreamDifference {
  readonly machine: readonly Difference[];
  readonly blocks: readonly BlockDifference[];
  readonly devices: readonly DeviceDifference[];
}

/** Whether nothing differs. */
export function isSame({ machine, blocks, devices }: StreamDifference): boolean {
  return machine.length + blocks.length + devices.length === 0;
}

/** A thing of some name on one side or on both. */
export interface Pair<T> {
  readonly name: string;
  readonly first: T | undefined;
  readonly second: T | undefined;
}

/** Pairs what two sides have by its names, in the first one's order. */
export function pairs<T>(first: ReadonlyMap<string, T>, second: ReadonlyMap<string, T>): Pair<T>[] {
  return [
    ...[...first].map(([name, each]) => ({ name, first: each, second: second.get(name) })),
    ...[...second].filter(([name]) => !first.has(name))
      .map(([name, each]) => ({ name, first: undefined, second: each })),
  ];
}
