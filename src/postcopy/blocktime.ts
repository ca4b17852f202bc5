/**
 * How long vCPUs stood still for pages that had not arrived (QEMU `migration/postcopy-ram.c`,
 * `PostcopyBlocktimeContext`): a fault begins in the thread that asks for the page and ends in the thread
 * that places it, so all of it is in shared memory.
 *
 * @module
 */

/** The slots before those of the faults, in 32-bit words. */
const Word = {
  /** Not 0 while a thread changes anything. */
  LOCK: 0,
  /** How many vCPUs stand still. */
  BLOCKED: 1,
  /** Where the histogram begins. */
  HISTOGRAM: 16,
} as const;
/** Of each fault: whether there is one, and for which page of which block. */
const FAULT_WORDS = 4;
const Fault = { OPEN: 0, BLOCK: 1, PAGE: 2 } as const;
/** The numbers: total, and since when all stand still; then of each fault. */
const Total = { TIME: 0, SINCE: 1, FAULTS: 2 } as const;
const FAULT_NUMBERS = 3;
const FaultNumber = { SINCE: 0, TIME: 1, COUNT: 2 } as const;

/** The histogram divides each doubling into so many parts of the same size. */
const PARTS = 8;
/** Latencies of up to 2^40 µs, which is twelve days. */
const BUCKETS = 40 * PARTS;
/** QMP's distribution has so many elements, of which the first is from 1 to 2 µs. */
const DISTRIBUTION = 24;

/** The time, in milliseconds, on a clock that is the same in all threads. */
export function sharedTime(): number {
  return performance.timeOrigin + performance.now();
}

/** One distribution of latencies, in nanoseconds. */
export interface Latencies {
  readonly count: number;
  readonly average: number;
  readonly p50: number;
  readonly p99: number;
  /** How many took 2^N to 2^(N+1) microseconds, for each N from 0. */
  readonly distribution: readonly number[];
}

/** All faults of one destination. The last of its places is for threads that are no vCPUs. */
export class Blocktime {
  readonly #vcpus: number;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #numbers: Float64Array<SharedArrayBuffer>;
  readonly #faults: number;

  /** @param memory What {@linkcode Blocktime.create} made, in this or another thread. */
  constructor(readonly memory: SharedArrayBuffer) {
    const [places = 0] = new Int32Array(memory);
    this.#vcpus = places - 1;
    const words = wordsFor(places);
    this.#words = new Int32Array(memory, 8, words);
    this.#numbers = new Float64Array(memory, 8 + 4 * words);
    this.#faults = Word.HISTOGRAM + BUCKETS;
  }

  /** Makes the account of a machine with so many vCPUs. */
  static create(vcpus: number): Blocktime {
    const places = vcpus + 1;
    const memory = new SharedArrayBuffer(8 + 4 * wordsFor(places) + 8 * numbersFor(places));
    new Int32Array(memory)[0] = places;
    return new Blocktime(memory);
  }

  /**
   * Somebody begins to wait. Who waits for another page has that by now, and nobody has said so yet; who
   * waits for this one goes on doing that.
   * @param vcpu Which vCPU, or `undefined` for another thread.
   * @param block The block's index.
   * @param page The first page of what is waited for.
   * @param now {@linkcode sharedTime}.
   */
  begin(vcpu: number | undefined, block: number, page: number, now: number): void {
    const place = vcpu ?? this.#vcpus;
    this.#lock();
    const fault = this.#faults + place * FAULT_WORDS;
    const isOpen = this.#words[fault] !== 0;
    const isSame = this.#words[fault + Fault.BLOCK] === block &&
      this.#words[fault + Fault.PAGE] === page;
    if (isOpen && !isSame) this.#close(place, now);
    if (!isOpen || !isSame) {
      this.#words[fault + Fault.OPEN] = 1;
      this.#words[fault + Fault.BLOCK] = block;
      this.#words[fault + Fault.PAGE] = page;
      this.#numbers[numberOf(place) + FaultNumber.SINCE] = now;
      if (place < this.#vcpus && ++this.#words[Word.BLOCKED]! === this.#vcpus) {
        this.#numbers[Total.SINCE] = now;
      }
    }
    this.#unlock();
  }

  /** A page is there: who waited for it runs on. The parameters are those of {@linkcode begin}. */
  end(block: number, page: number, now: number): void {
    this.#lock();
    const words = this.#words;
    for (let place = 0; place <= this.#vcpus; place++) {
      const fault = this.#faults + place * FAULT_WORDS;
      if (words[fault] === 0) continue;
      if (words[fault + Fault.BLOCK] !== block || words[fault + Fault.PAGE] !== page) continue;
      this.#close(place, now);
    }
    this.#unlock();
  }

  #close(place: number, now: number): void {
    this.#words[this.#faults + place * FAULT_WORDS] = 0;
    this.#count(place, now);
    if (place < this.#vcpus && this.#words[Word.BLOCKED]!-- === this.#vcpus) {
      this.#numbers[Total.TIME]! += Math.max(0, now - this.#numbers[Total.SINCE]!);
    }
  }

  #count(place: number, now: number): void {
    const number = numberOf(place);
    const time = Math.max(0, now - this.#numbers[number + FaultNumber.SINCE]!);
    this.#numbers[number + FaultNumber.TIME]! += time;
    this.#numbers[number + FaultNumber.COUNT]! += 1;
    this.#words[Word.HISTOGRAM + bucketOf(time * 1000)]!++;
  }

  /** For how long all vCPUs stood still at the same time, in milliseconds. */
  get total(): number {
    return this.#numbers[Total.TIME]!;
  }

  /** For how long each vCPU stood still, in milliseconds. */
  get perVcpu(): number[] {
    return this.#ofEach((number) => this.#numbers[number + FaultNumber.TIME]!).slice(0, -1);
  }

  /** The average latency of each place, in nanoseconds; the last is that of other threads. */
  get averages(): number[] {
    return this.#ofEach((number) => {
      const count = this.#numbers[number + FaultNumber.COUNT]!;
      return count === 0 ? 0 : this.#numbers[number + FaultNumber.TIME]! / count * 1e6;
    });
  }

  /** How long all faults took. */
  get latencies(): Latencies {
    const time = this.#ofEach((number) => this.#numbers[number + FaultNumber.TIME]!);
    const histogram = this.#words.slice(Word.HISTOGRAM, Word.HISTOGRAM + BUCKETS);
    const count = histogram.reduce((sum, bucket) => sum + bucket, 0);
    const distribution = new Array<number>(DISTRIBUTION).fill(0);
    histogram.forEach((bucket, i) => {
      distribution[Math.min(Math.floor(i / PARTS), DISTRIBUTION - 1)]! += bucket;
    });
    const total = time.reduce((sum, each) => sum + each, 0);
    return {
      count,
      average: count === 0 ? 0 : total / count * 1e6,
      p50: percentile(histogram, count, 0.5),
      p99: percentile(histogram, count, 0.99),
      distribution,
    };
  }

  #ofEach(value: (number: number) => number): number[] {
    return Array.from({ length: this.#vcpus + 1 }, (_, place) => value(numberOf(place)));
  }

  #lock(): void {
    // The first time too: code that has never paused is thrown away when it does, and guests wait meanwhile.
    do Atomics.pause(); while (Atomics.compareExchange(this.#words, Word.LOCK, 0, 1) !== 0);
  }

  #unlock(): void {
    Atomics.store(this.#words, Word.LOCK, 0);
  }
}

/** An even number, so that what follows is aligned. */
function wordsFor(places: number): number {
  return Word.HISTOGRAM + BUCKETS + places * FAULT_WORDS;
}

function numbersFor(places: number): number {
  return Total.FAULTS + places * FAULT_NUMBERS;
}

function numberOf(place: number): number {
  return Total.FAULTS + place * FAULT_NUMBERS;
}

function bucketOf(microseconds: number): number {
  if (microseconds < 1) return 0;
  const power = Math.floor(Math.log2(microseconds));
  const part = Math.floor((microseconds / 2 ** power - 1) * PARTS);
  return Math.min(power * PARTS + part, BUCKETS - 1);
}

/** The middle of the bucket in which a share of all faults has ended, in nanoseconds. */
function percentile(histogram: Int32Array, count: number, share: number): number {
  let left = Math.ceil(count * share);
  for (let i = 0; i < histogram.length && count > 0; i++) {
    left -= histogram[i]!;
    if (left > 0) continue;
    const power = Math.floor(i / PARTS);
    return 1000 * 2 ** power * (1 + (i % PARTS + 0.5) / PARTS);
  }
  return 0;
}
