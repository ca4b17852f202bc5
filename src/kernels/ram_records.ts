/**
 * The page-record kernels with their memories bound: see `ram_records.wat` for what each does.
 *
 * @module
 */
import { ramRecordsWasm } from "./ram_records.wasm.ts";

/** Passed instead of a bitmap's address when there is no such bitmap. */
export const NO_BITMAP = -1;

/** The functions of one instance; addresses are bytes in the memory they name. */
export interface RamRecordsKernel {
  /** How many pages the last call handled with their content. */
  readonly normal_pages: { readonly value: number };
  /** How many pages the last call handled as zeros. */
  readonly zero_pages: { readonly value: number };
  /** How many pages the last call placed as differences. */
  readonly encoded_pages: { readonly value: number };
  /** The first page of those that the last `stage()` staged. */
  readonly staged_page: { readonly value: number };
  is_zero(address: number, length: number): number;
  count_zero(address: number, pageSize: number, pages: number): number;
  encode(
    address: number,
    pages: number,
    pageSize: number,
    blockOffset: bigint,
    page: number,
    untouched: number,
    detectZero: number,
    out: number,
    name: number,
    nameLength: number,
  ): number;
  decode(
    at: number,
    available: number,
    ringSize: number,
    pageSize: number,
    pageShift: number,
    segmentAddress: number,
    segmentOffset: bigint,
    segmentLength: bigint,
    received: number,
    untouched: number,
  ): number;
  /** @returns How many pages were staged. */
  stage(
    at: number,
    available: number,
    ringSize: number,
    pageSize: number,
    pageShift: number,
    most: number,
    pageCount: number,
    received: number,
  ): number;
  ring_copy(to: number, at: number, length: number, ringSize: number): void;
  /** @returns 0, or an index of {@linkcode XBZRLE_FAULTS}. */
  xbzrle(at: number, length: number, address: number, pageSize: number): number;
  unwrap(at: number, length: number, ringSize: number): number;
  place_zero(
    address: number,
    pageSize: number,
    page: number,
    received: number,
    untouched: number,
  ): void;
}

/** What `xbzrle()` found wrong, by the number it returns. */
export const XBZRLE_FAULTS: readonly string[] = [
  "",
  "it ends where a length should follow",
  "a length takes more than two bytes",
  "two runs of changed bytes follow each other",
  "its unchanged bytes go beyond the page",
  "a run of changed bytes is empty",
  "its changed bytes go beyond the page",
  "it ends inside of its changed bytes",
];

let compiled: WebAssembly.Module | undefined;

/**
 * Binds the kernels to memories.
 * @param ram The memory of a block's segment.
 * @param io The sending buffer or the receiving ring.
 * @param tables The memory of the page bitmaps.
 */
export function bindRamRecords(
  ram: WebAssembly.Memory,
  io: WebAssembly.Memory,
  tables: WebAssembly.Memory,
): RamRecordsKernel {
  compiled ??= new WebAssembly.Module(ramRecordsWasm);
  const instance = new WebAssembly.Instance(compiled, { env: { ram, io, tables } });
  // Each instance's exports are of a shape of their own, and code that is optimized for some is not for others.
  return { ...instance.exports } as unknown as RamRecordsKernel;
}
