/**
 * Where vCPUs wait for pages that have not arrived, on hosts without userfaultfd: one shared memory in
 * which each vCPU says what it waits for, a thread that asks the source for it hears of that, and whoever
 * places the page wakes the vCPU. On hosts with userfaultfd the kernel does all that, and only needs to
 * be told which thread is which vCPU.
 *
 * @module
 */
import type { RamBlock } from "./ram_block.ts";

/** The slots, in 32-bit words; what different threads write has a cache line of its own. */
const Word = {
  /** Changes whenever a vCPU begins to wait for another page. */
  BELL: 0,
  /** Changes whenever a page is placed while somebody waits. */
  PLACED: 16,
  /** How many vCPUs wait. */
  WAITING: 32,
  /** Not 0 while a thread places a page. */
  LOCK: 48,
  VCPUS: 64,
} as const;
/** Of each vCPU: the index of the block it waits for plus 1, the page, its thread's number. */
const VCPU_WORDS = 16;
const Vcpu = { BLOCK: 0, PAGE: 1, THREAD: 2 } as const;

/** How often a waiting vCPU looks whether it is to stop, in milliseconds. */
const LOOK_MS = 100;

/** A page that a vCPU waits for. */
export interface WantedPage {
  /** The block's index. */
  readonly block: number;
  /** The page's number in the block. */
  readonly page: number;
}

/** The board as any thread sees it; each uses its own part of the methods. */
export class Presence {
  readonly #words: Int32Array<SharedArrayBuffer>;

  /** Opens the board. @param memory What {@linkcode Presence.create} made, in this or another thread. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Makes a board on which nobody waits. */
  static create(vcpus: number): Presence {
    return new Presence(new SharedArrayBuffer(4 * (Word.VCPUS + VCPU_WORDS * vcpus)));
  }

  /** How many vCPUs there are. */
  get vcpus(): number {
    return (this.#words.length - Word.VCPUS) / VCPU_WORDS;
  }

  // ── a vCPU's thread ───────────────────────────────────────────────────────────────────────────

  /**
   * Blocks this thread until a page has arrived.
   * @param vcpu Who waits.
   * @param stopped Whether there is no point any more in waiting; asked again and again.
   * @returns Whether the page is there.
   */
  waitFor(vcpu: number, block: RamBlock, page: number, stopped: () => boolean): boolean {
    if (block.received.has(page)) return true;
    const words = this.#words;
    const slot = Word.VCPUS + vcpu * VCPU_WORDS;
    Atomics.add(words, Word.WAITING, 1);
    Atomics.store(words, slot + Vcpu.PAGE, page);
    Atomics.store(words, slot + Vcpu.BLOCK, block.index + 1);
    this.#change(Word.BELL);
    let here: boolean;
    for (;;) {
      // The count is read before the look: a page placed in between makes the wait return at once.
      const seen = Atomics.load(words, Word.PLACED);
      here = block.received.has(page);
      if (here || stopped()) break;
      Atomics.wait(words, Word.PLACED, seen, LOOK_MS);
    }
    Atomics.store(words, slot + Vcpu.BLOCK, 0);
    Atomics.sub(words, Word.WAITING, 1);
    return here;
  }

  /** Says which thread a vCPU is. @param thread The kernel's number. */
  setThread(vcpu: number, thread: number): void {
    Atomics.store(this.#words, Word.VCPUS + vcpu * VCPU_WORDS + Vcpu.THREAD, thread);
  }

  /** The kernel's number of a vCPU's thread; 0 while it is not known, and without FFI. */
  threadOf(vcpu: number): number {
    return Atomics.load(this.#words, Word.VCPUS + vcpu * VCPU_WORDS + Vcpu.THREAD);
  }

  // ── who asks for pages ────────────────────────────────────────────────────────────────────────

  /** Changes whenever a vCPU begins to wait; to be passed to {@linkcode Presence.asked}. */
  get bell(): number {
    return Atomics.load(this.#words, Word.BELL);
  }

  /**
   * Waits until a vCPU begins to wait, or {@linkcode Presence.ring} is called.
   * @param seen What {@linkcode Presence.bell} was before the caller looked.
   */
  async asked(seen: number): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, Word.BELL, seen);
    if (wait.async) await wait.value;
  }

  /** Makes {@linkcode Presence.asked} return. */
  ring(): void {
    this.#change(Word.BELL);
  }

  /** What a vCPU waits for, if it does. */
  wanted(vcpu: number): WantedPage | undefined {
    const slot = Word.VCPUS + vcpu * VCPU_WORDS;
    const block = Atomics.load(this.#words, slot + Vcpu.BLOCK);
    if (block === 0) return undefined;
    return { block: block - 1, page: Atomics.load(this.#words, slot + Vcpu.PAGE) };
  }

  /** Which vCPU a thread is, or `undefined` if it is none. @param thread The kernel's number. */
  vcpuOf(thread: number): number | undefined {
    for (let vcpu = 0; vcpu < this.vcpus; vcpu++) {
      const slot = Word.VCPUS + vcpu * VCPU_WORDS;
      if (thread !== 0 && Atomics.load(this.#words, slot + Vcpu.THREAD) === thread) return vcpu;
    }
    return undefined;
  }

  // ── who places pages ──────────────────────────────────────────────────────────────────────────

  /** Keeps all other threads from placing a page, until {@linkcode Presence.unlock}. */
  lock(): void {
    while (Atomics.compareExchange(this.#words, Word.LOCK, 0, 1) !== 0) Atomics.pause();
  }

  /** Ends what {@linkcode Presence.lock} began. */
  unlock(): void {
    Atomics.store(this.#words, Word.LOCK, 0);
  }

  /** A page's bit in `received` has been set: whoever waits looks again. */
  placed(): void {
    if (Atomics.load(this.#words, Word.WAITING) > 0) this.#change(Word.PLACED);
  }

  #change(word: number): void {
    Atomics.add(this.#words, word, 1);
    Atomics.notify(this.#words, word);
  }
}
