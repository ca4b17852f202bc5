/**
 * The multifd kernels with their memories bound: see `multifd_pages.wat` for what each does.
 *
 * @module
 */
import { multifdPagesWasm } from "./multifd_pages.wasm.ts";

/** The functions of one instance; addresses are bytes in the memory they name. */
export interface MultifdPagesKernel {
  /** How many pages with content the packet at hand has. */
  readonly normal_pages: { readonly value: number };
  /** How many zero pages it has; after `place_alike`, how many were placed. */
  readonly zero_pages: { readonly value: number };
  /** How many runs its pages with content are. */
  readonly runs: { readonly value: number };
  begin(normals: number, zeros: number, runs: number): void;
  sort(
    address: number,
    pages: number,
    pageSize: number,
    blockOffset: bigint,
    page: number,
    untouched: number,
    detectZero: number,
  ): void;
  gather(out: number): number;
  finish(header: number, capacity: number): void;
  untouched_pages(untouched: number, page: number, count: number): number;
  zero_headers(
    first: number,
    offsets: number,
    capacity: number,
    headers: number,
    blockOffset: bigint,
    pageSize: bigint,
    number: bigint,
  ): void;
  parse(at: number, count: number, pageShift: number, blockLength: bigint, out: number): number;
  mark(received: number, untouched: number, page: number, count: number): void;
  scatter(
    runs: number,
    count: number,
    from: number,
    pageShift: number,
    base: bigint,
    firstPage: number,
    endPage: number,
    received: number,
    untouched: number,
  ): number;
  place_zeros(
    address: number,
    pageSize: number,
    page: number,
    count: number,
    received: number,
    untouched: number,
  ): void;
  place_alike(
    checked: number,
    at: number,
    end: number,
    headerBytes: number,
    offsets: number,
    pageSize: number,
    base: bigint,
    firstOffset: bigint,
    endOffset: bigint,
    received: number,
    untouched: number,
  ): number;
}

let compiled: WebAssembly.Module | undefined;

/** Kernels of one thread: an instance for each memory that RAM lies in. */
export class MultifdPages {
  readonly #instances = new Map<WebAssembly.Memory, MultifdPagesKernel>();

  /**
   * @param io The thread's own buffers.
   * @param tables The memory of the page bitmaps.
   */
  constructor(
    private readonly io: WebAssembly.Memory,
    private readonly tables: WebAssembly.Memory,
  ) {}

  /** The kernel that works on a memory. */
  of(ram: WebAssembly.Memory): MultifdPagesKernel {
    let kernel = this.#instances.get(ram);
    if (!kernel) {
      compiled ??= new WebAssembly.Module(multifdPagesWasm);
      const env = { ram, io: this.io, tables: this.tables };
      kernel = new WebAssembly.Instance(compiled, { env }).exports as unknown as MultifdPagesKernel;
      this.#instances.set(ram, kernel);
    }
    return kernel;
  }
}
