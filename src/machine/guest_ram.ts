/**
 * All of a machine's RAM: its blocks, and beside them one small shared memory with every block's
 * bitmaps, so that kernels and threads find both.
 *
 * @module
 */
import { PAGE_SIZE, pagesOf } from "./page.ts";
import { pageBitmapBytes, type PageBitmapLayout } from "./page_bitmap.ts";
import {
  BITMAP_KINDS,
  type BitmapKind,
  MEMORY_MAX,
  RamBlock,
  type RamBlockLayout,
  type RamSegment,
  WASM_PAGE,
} from "./ram_block.ts";

/** A block to be made. */
export interface RamBlockSpec {
  /** The name both sides know it by. */
  readonly name: string;
  /** In bytes; a multiple of the target page. */
  readonly length: number;
  /** A shared memory that holds the block from its start, when its owner has one already. */
  readonly memory?: WebAssembly.Memory;
}

/** All RAM, as it is posted to workers. */
export interface GuestRamLayout {
  /** The target page, in bytes. */
  readonly pageSize: number;
  /** The memory with all bitmaps. */
  readonly tables: WebAssembly.Memory;
  /** The blocks, in the order of the stream. */
  readonly blocks: readonly RamBlockLayout[];
}

/** How {@linkcode GuestRam.create} lays blocks out. */
export interface GuestRamOptions {
  /** The target page, in bytes. @default {4096} */
  readonly pageSize?: number;
  /**
   * Put the blocks one after the other into as few memories as there can be, for a machine of many
   * small blocks that no WebAssembly guest runs on. Otherwise each block begins a memory of its own.
   * @default {false}
   */
  readonly packed?: boolean;
  /** Make the blocks' bitmaps only: their pages are elsewhere. @default {false} */
  readonly bitmapsOnly?: boolean;
}

/** The RAM of one machine, as any thread sees it. */
export class GuestRam {
  /** The target page, in bytes. */
  readonly pageSize: number;
  /** The memory with all bitmaps. */
  readonly tables: WebAssembly.Memory;
  /** The blocks, in the order of the stream. */
  readonly blocks: readonly RamBlock[];
  /** All blocks together, in bytes. */
  readonly length: number;

  /** Opens RAM. @param layout What {@linkcode GuestRam.create} made, in this or another thread. */
  constructor(readonly layout: GuestRamLayout) {
    this.pageSize = layout.pageSize;
    this.tables = layout.tables;
    this.blocks = layout.blocks.map((block) => new RamBlock(block));
    this.length = this.blocks.reduce((sum, block) => sum + block.length, 0);
  }

  /**
   * Makes zeroed RAM; the kernel provides its pages as they are touched.
   * @param specs The blocks, in the order of the stream.
   * @throws {RangeError} If a length is no multiple of the page, a name repeats, an existing memory is
   * not shared or too small, or there are more pages than one memory holds bitmaps for (some 25 TiB of
   * 4 KiB pages).
   */
  static create(specs: readonly RamBlockSpec[], options: GuestRamOptions = {}): GuestRam {
    const pageSize = options.pageSize ?? PAGE_SIZE;
    checkSpecs(specs, pageSize);
    const tablesBytes = specs.reduce((sum, spec) => sum + bitmapsBytes(spec, pageSize), WASM_PAGE);
    // Before the segments: a length that nobody has would be a million memories.
    if (tablesBytes > MEMORY_MAX) throw new RangeError("RAM has too many pages for its bitmaps");
    const tables = new WebAssembly.Memory(memorySize(tablesBytes));
    const segments = segmentsOf(specs, options);
    let at = 0;
    const blocks = specs.map((spec, index): RamBlockLayout => {
      const pageCount = pagesOf(spec.length, pageSize);
      const bitmaps: Partial<Record<BitmapKind, PageBitmapLayout>> = {};
      for (const kind of BITMAP_KINDS) {
        bitmaps[kind] = { memory: tables, byteOffset: at, pageCount };
        at += pageBitmapBytes(pageCount);
      }
      return {
        index,
        name: spec.name,
        length: spec.length,
        hostPageSize: Math.max(pageSize, PAGE_SIZE),
        segments: segments[index]!,
        bitmaps: bitmaps as Record<BitmapKind, PageBitmapLayout>,
      };
    });
    const ram = new GuestRam({ pageSize, tables, blocks });
    for (const block of ram.blocks) {
      // A memory made here is zeros until somebody writes; what its owner did with another is not known.
      if (!specs[block.index]!.memory && !options.bitmapsOnly) {
        block.untouched.fill(0, block.pageCount, true);
      }
    }
    return ram;
  }

  /** The block of that name, or `undefined`. */
  block(name: string): RamBlock | undefined {
    return this.blocks.find((block) => block.name === name);
  }

  /** The memories that hold the blocks, each once. */
  get memories(): WebAssembly.Memory[] {
    return [
      ...new Set(
        this.blocks.flatMap((block) => block.segments.map((segment) => segment.memory)),
      ),
    ];
  }
}

function checkSpecs(specs: readonly RamBlockSpec[], pageSize: number): void {
  const names = new Set<string>();
  for (const { name, length, memory } of specs) {
    if (names.has(name)) throw new RangeError(`Two RAM blocks are called "${name}"`);
    names.add(name);
    if (!Number.isSafeInteger(length) || length < 0 || length % pageSize !== 0) {
      throw new RangeError(
        `RAM block ${name} of ${length} bytes is not whole pages of ${pageSize}`,
      );
    }
    if (!memory) continue;
    if (!(memory.buffer instanceof SharedArrayBuffer)) {
      throw new RangeError(`The memory of RAM block ${name} is not shared`);
    }
    if (memory.buffer.byteLength < length) {
      throw new RangeError(
        `The memory of RAM block ${name} has ${memory.buffer.byteLength} bytes, not ${length}`,
      );
    }
  }
}

function bitmapsBytes(spec: RamBlockSpec, pageSize: number): number {
  return pageBitmapBytes(pagesOf(spec.length, pageSize)) * BITMAP_KINDS.length;
}

function memorySize(bytes: number): WebAssembly.MemoryDescriptor {
  const pages = Math.max(1, Math.ceil(bytes / WASM_PAGE));
  return { initial: pages, maximum: pages, shared: true };
}

function segmentsOf(specs: readonly RamBlockSpec[], options: GuestRamOptions): RamSegment[][] {
  if (options.bitmapsOnly) return specs.map(() => []);
  return options.packed ? packedSegments(specs) : specs.map(ownSegments);
}

function ownSegments(spec: RamBlockSpec): RamSegment[] {
  if (spec.memory) {
    return [{ memory: spec.memory, base: 0, offset: 0, length: spec.length }];
  }
  const segments: RamSegment[] = [];
  for (let offset = 0; offset < spec.length || offset === 0; offset += MEMORY_MAX) {
    const length = Math.min(MEMORY_MAX, spec.length - offset);
    segments.push({ memory: new WebAssembly.Memory(memorySize(length)), base: 0, offset, length });
  }
  return segments;
}

/** Blocks begin at multiples of WebAssembly's page; one that crosses a memory's end is cut there. */
function packedSegments(specs: readonly RamBlockSpec[]): RamSegment[][] {
  const aligned = (length: number) => Math.ceil(length / WASM_PAGE) * WASM_PAGE;
  const total = specs.reduce((sum, spec) => sum + aligned(spec.length), 0);
  const memories: WebAssembly.Memory[] = [];
  for (let from = 0; from < total || from === 0; from += MEMORY_MAX) {
    memories.push(new WebAssembly.Memory(memorySize(Math.min(MEMORY_MAX, total - from))));
  }
  let at = 0;
  return specs.map((spec) => {
    const segments: RamSegment[] = [];
    for (let offset = 0; offset < spec.length || offset === 0;) {
      const base = at % MEMORY_MAX;
      const length = Math.min(spec.length - offset, MEMORY_MAX - base);
      segments.push({ memory: memories[Math.floor(at / MEMORY_MAX)]!, base, offset, length });
      if (spec.length === 0) break;
      offset += length;
      at += length;
    }
    at = aligned(at);
    return segments;
  });
}
