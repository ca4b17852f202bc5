/**
 * The XBZRLE kernels with their memories bound: see `xbzrle.wat` for what each does.
 *
 * @module
 */
import { xbzrleWasm } from "./xbzrle.wasm.ts";

/** So many bytes behind the data of a page may be written, and behind a cached page be read. */
export const XBZRLE_SLACK = 16;

/** Bytes of an entry in the table of a cache: whose page is in a place, and when it was last used. */
export const XBZRLE_ENTRY = 16;

/** The functions of one instance; addresses are bytes in the memory they name. */
export interface XbzrleKernel {
  /** How many pages the last call sent whole. */
  readonly normal_pages: { readonly value: number };
  /** How many pages it sent as zeros. */
  readonly zero_pages: { readonly value: number };
  /** How many pages it sent as differences, also where there were none. */
  readonly encoded_pages: { readonly value: number };
  /** How many pages it did not find in the cache. */
  readonly misses: { readonly value: number };
  /** How many pages it sent whole because their differences were more. */
  readonly overflows: { readonly value: number };
  /** Bytes of differences with all but the first 8 of their records, and of pages where those were more. */
  readonly bytes: { readonly value: number };
  encode(address: number, cached: number, pageSize: number, out: number): number;
  encode_pages(
    first: number,
    count: number,
    address: number,
    cached: number,
    entry: number,
    pageSize: number,
    number: bigint,
    dirty: number,
    untouched: number,
    detectZero: number,
    round: number,
    lastStage: number,
    out: number,
    nameLength: number,
  ): number;
}

let compiled: WebAssembly.Module | undefined;

/**
 * Binds the kernels to memories.
 * @param ram The memory that the pages lie in.
 * @param cache The memory with pages as they were sent.
 * @param io The sending buffer.
 * @param tables The memory of the page bitmaps.
 */
export function bindXbzrle(
  ram: WebAssembly.Memory,
  cache: WebAssembly.Memory,
  io: WebAssembly.Memory,
  tables: WebAssembly.Memory,
): XbzrleKernel {
  compiled ??= new WebAssembly.Module(xbzrleWasm);
  const instance = new WebAssembly.Instance(compiled, { env: { ram, cache, io, tables } });
  return instance.exports as unknown as XbzrleKernel;
}
