/**
 * The digests of the pages as they were last sent, in shared memory: sending threads write them
 * (`digest_recorder.ts`), the hash log compares them with RAM (`hash_scan.ts`).
 *
 * ```text
 *      0  the digest of a page of zeros           16 bytes
 *     64  the key, random                         a page and 32 bytes
 *         the first block's digests               16 bytes a page, 0 for "none"
 *         the second block's digests ...
 * ```
 *
 * @module
 */
import { pageHashWasm } from "../kernels/page_hash.wasm.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { MEMORY_MAX, WASM_PAGE } from "../machine/ram_block.ts";

/** A digest, in bytes. */
export const DIGEST_BYTES = 16;

const ZERO_DIGEST_OFFSET = 0;
const KEY_OFFSET = 64;
/** How much longer than a page the key is: its second use is moved by that. */
const KEY_EXTRA = 32;
/** What `crypto.getRandomValues` gives at once. */
const RANDOM_MAX = 65536;

/** Where the digests are, as it is posted to workers. */
export interface DigestTableLayout {
  readonly memory: WebAssembly.Memory;
  /** The target page, in bytes. */
  readonly pageSize: number;
  /** Where each block's digests begin, in bytes from the memory's start. */
  readonly blocks: readonly number[];
}

/** The functions of `kernels/page_hash.wat`, which describes them. */
export interface PageHash {
  record(address: number, size: number, digest: number): void;
  forget(digest: number): void;
  take(address: number, staging: number, size: number, digest: number): void;
  compare(
    address: number,
    size: number,
    digest: number,
    dirty: number,
    untouched: number,
    page: number,
    pages: number,
  ): number;
}

/** The memories that the kernel works on; those a caller's functions do not use can be any. */
export interface PageHashMemories {
  readonly pages: WebAssembly.Memory;
  readonly staging: WebAssembly.Memory;
  readonly digests: WebAssembly.Memory;
  readonly tables: WebAssembly.Memory;
}

let compiled: WebAssembly.Module | undefined;

/** Makes the kernel's functions for these memories. */
export function pageHash(memories: PageHashMemories): PageHash {
  compiled ??= new WebAssembly.Module(pageHashWasm);
  const { exports } = new WebAssembly.Instance(compiled, { env: { ...memories } });
  return exports as unknown as PageHash;
}

/** The table, as any thread sees it. */
export class DigestTable {
  readonly memory: WebAssembly.Memory;

  /** @param layout What {@linkcode DigestTable.create} made, in this or another thread. */
  constructor(readonly layout: DigestTableLayout) {
    this.memory = layout.memory;
  }

  /**
   * Makes an empty table with a key of its own.
   * @throws {RangeError} If there are more pages than one memory holds digests for (1 TiB of 4 KiB pages).
   */
  static create(ram: GuestRam): DigestTable {
    const { pageSize } = ram;
    const blocks: number[] = [];
    let length = Math.ceil((KEY_OFFSET + pageSize + KEY_EXTRA) / 64) * 64;
    for (const block of ram.blocks) {
      blocks.push(length);
      length += block.pageCount * DIGEST_BYTES;
    }
    if (length > MEMORY_MAX) {
      throw new RangeError(`RAM of ${ram.length} bytes has too many pages for a table of digests`);
    }
    const pages = Math.ceil(length / WASM_PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    fillWithRandom(new Uint8Array(memory.buffer, KEY_OFFSET, pageSize + KEY_EXTRA));
    recordZeros(memory, pageSize);
    return new DigestTable({ memory, pageSize, blocks });
  }

  /** Where a page's digest is, in bytes from the memory's start. */
  offset(block: number, page: number): number {
    return this.layout.blocks[block]! + page * DIGEST_BYTES;
  }

  /** Forgets all digests: nothing was sent. */
  clear(): void {
    new Uint8Array(this.memory.buffer, this.layout.blocks[0] ?? this.memory.buffer.byteLength)
      .fill(0);
  }
}

function fillWithRandom(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += RANDOM_MAX) {
    // By way of a copy: random values do not go into shared memory directly.
    const part = new Uint8Array(Math.min(RANDOM_MAX, bytes.length - at));
    bytes.set(crypto.getRandomValues(part), at);
  }
}

function recordZeros(digests: WebAssembly.Memory, pageSize: number): void {
  const pages = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  pageHash({ pages, staging: pages, digests, tables: pages })
    .record(0, pageSize, ZERO_DIGEST_OFFSET);
}
