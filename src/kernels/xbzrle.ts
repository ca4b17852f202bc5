/**
 * The XBZRLE kernels with their memories bound: see `xbzrle.wat` for what each does.
 *
 * @module
 */
import { xbzrleWasm } from "./xbzrle.wasm.ts";

/** So many bytes behind the data of a page may be written, and behind a cached page be read. */
export const XBZRLE_SLACK = 16;

/** The functions of one instance; addresses are bytes in the memory they name. */
export interface XbzrleKernel {
  encode(address: number, cached: number, pageSize: number, out: number): number;
  keep(address: number, cached: number, pageSize: number): void;
  copy(address: number, pageSize: number, out: number): void;
  clear(cached: number, pageSize: number): void;
  send(cached: number, pageSize: number, out: number): void;
}

let compiled: WebAssembly.Module | undefined;

/**
 * Binds the kernels to memories.
 * @param ram The memory that the pages lie in.
 * @param cache The memory with pages as they were sent.
 * @param io The sending buffer.
 */
export function bindXbzrle(
  ram: WebAssembly.Memory,
  cache: WebAssembly.Memory,
  io: WebAssembly.Memory,
): XbzrleKernel {
  compiled ??= new WebAssembly.Module(xbzrleWasm);
  const instance = new WebAssembly.Instance(compiled, { env: { ram, cache, io } });
  return instance.exports as unknown as XbzrleKernel;
}
