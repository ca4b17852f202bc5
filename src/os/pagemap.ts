/**
 * PAGEMAP_SCAN (Linux 6.7): which pages of a range exist, and which were written since they were last
 * asked about. It finds pages and protects them again in one atomic step, so no write falls between.
 *
 * @module
 */
import { Errno } from "./errno.ts";
import { KernelStruct } from "./host_memory.ts";
import { closeDescriptor, failure, libc, openReadOnly } from "./libc.ts";

/** How many ranges one call finds at most, unless said otherwise. */
const RANGES_PER_CALL = 8192;

const PAGEMAP_SCAN = 0xc0606610n;
const RANGE_WORDS = 6;

const Category = { written: 2, present: 8, swapped: 16, zeroPage: 32 } as const;
/** Protect what matches; fail rather than skip memory that is not registered for that. */
const PROTECT_MATCHING = 1 | 2;

/** The members of the kernel's argument. */
const Member = {
  size: 0,
  flags: 1,
  start: 2,
  end: 3,
  walkEnd: 4,
  vector: 5,
  vectorLength: 6,
  inverted: 8,
  mask: 9,
  anyOf: 10,
  returned: 11,
} as const;
const MEMBERS = 12;

/**
 * A question that finds pages:
 * - `content`: those that may hold something. All others were never written (or were discarded): they
 *   do not exist, or are the kernel's one page of zeros because something read them.
 * - `written`: those with content that were written since the last such question, which it also
 *   protects again. The range must be registered with userfaultfd for `writeProtect`. Pages that do not
 *   exist are left out, and left unprotected: one that comes into being is "written" by that alone.
 *   So pages that nobody touches stay free of cost, and can still be told from those swapped out.
 */
export type PageQuestion = "content" | "written";

/**
 * Asks about ranges of this process's memory. One object for one thread; it keeps its answer in place,
 * so nothing is allocated for a range:
 *
 * ```ts
 * for (let at = start; at < end; at = pagemap.resumeAt) {
 *   const count = pagemap.find("written", at, end);
 *   if (count < 0) throw new Error(errnoName(count));
 *   for (let i = 0; i < count; i++) use(pagemap.rangeStart(i), pagemap.rangeEnd(i));
 * }
 * ```
 */
export class Pagemap {
  /** Where the next question goes on; the `end` of the last one if it was answered completely. */
  resumeAt = 0;
  readonly #fd: number;
  readonly #ranges: Uint32Array<ArrayBuffer>;
  readonly #argument = new KernelStruct(MEMBERS);

  private constructor(fd: number, capacity: number) {
    this.#fd = fd;
    // On a buffer of its own, since the engine keeps small arrays where they may move.
    this.#ranges = new Uint32Array(new ArrayBuffer(capacity * RANGE_WORDS * 4));
    const vector = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#ranges));
    this.#argument
      .fill(MEMBERS * 8)
      .set(Member.vector, Number(vector))
      .set(Member.vectorLength, capacity)
      .set(Member.inverted, Category.zeroPage)
      .set(Member.anyOf, Category.present | Category.swapped);
  }

  /**
   * @param capacity How many ranges one call finds at most.
   * @returns An object to {@linkcode close}, or minus an errno: ENOSYS without FFI. That the kernel
   * knows PAGEMAP_SCAN shows only when it is used (ENOTTY if not).
   */
  static open(capacity = RANGES_PER_CALL): Pagemap | number {
    if (!libc()) return -Errno.ENOSYS;
    const fd = openReadOnly("/proc/self/pagemap");
    return fd < 0 ? fd : new Pagemap(fd, capacity);
  }

  /**
   * Finds the next pages, as ranges in ascending order.
   * @param from The first address; a multiple of the host's page.
   * @param end The address after the last byte; so too.
   * @returns How many ranges were found, or minus an errno: EPERM if the range is not registered.
   */
  find(question: PageQuestion, from: number, end: number): number {
    const written = question === "written";
    const argument = this.#argument
      .set(Member.flags, written ? PROTECT_MATCHING : 0)
      .set(Member.mask, Category.zeroPage | (written ? Category.written : 0))
      .set(Member.returned, written ? Category.written : Category.present | Category.swapped)
      .set(Member.start, from)
      .set(Member.end, end)
      .set(Member.walkEnd, 0);
    const count = libc()!.ioctl(this.#fd, PAGEMAP_SCAN, argument.words);
    if (count < 0) return failure();
    // The kernel sets walk_end right only if it ran out of room; else it may be that of an inner step.
    const complete = count < this.#argument.get(Member.vectorLength);
    this.resumeAt = complete ? end : argument.get(Member.walkEnd);
    if (this.resumeAt <= from) return -Errno.EINVAL;
    return count;
  }

  /** The address of a found range's first byte. */
  rangeStart(index: number): number {
    const at = index * RANGE_WORDS;
    return this.#ranges[at]! + this.#ranges[at + 1]! * 2 ** 32;
  }

  /** The address after a found range's last byte. */
  rangeEnd(index: number): number {
    const at = index * RANGE_WORDS;
    return this.#ranges[at + 2]! + this.#ranges[at + 3]! * 2 ** 32;
  }

  /** Closes the descriptor; the object is of no use afterwards. */
  close(): void {
    closeDescriptor(this.#fd);
  }
}
