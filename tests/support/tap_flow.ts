/**
 * One direction of a tapped connection: what passed, and what goes wrong at which byte.
 *
 * @module
 */
import { concat } from "@std/bytes";
import { EventLog } from "./event_log.ts";
import { writeAll } from "./sockets.ts";

/** The most bytes that are read at once. */
const CHUNK = 64 * 1024;
/** How many reads a throttled flow spreads its bytes over in a second, at least. */
const THROTTLED_READS = 50;

interface Action {
  /** How many bytes pass before it. */
  readonly at: number;
  readonly kind: "cut" | "stall";
}

/** What a {@linkcode TapFlow} can ask of its connection. */
export interface TapOwner {
  /** Closes both ends, as if the link were lost. */
  cut(): void;
}

/** Bytes that go one way; faults can be planned before the connection is there. */
export class TapFlow {
  readonly #owner: TapOwner;
  readonly #recorded: Uint8Array<ArrayBuffer>[] = [];
  /** How many bytes have passed, after each piece. */
  readonly #totals = new EventLog<number>();
  readonly #flips = new Map<number, number>();
  #actions: Action[] = [];
  #passed = 0;
  /** How many bytes have passed or are on their way out: too late to change. */
  #taken = 0;
  #bytesPerSecond = Infinity;
  /** Resolves when a stalled flow goes on. */
  #stalled: PromiseWithResolvers<void> | undefined;
  /** Wakes a throttled flow that sleeps. */
  #wake: (() => void) | undefined;
  #ended = false;

  /**
   * @param owner What is cut.
   * @param record Whether to keep what passes.
   */
  constructor(owner: TapOwner, private readonly record: boolean) {
    this.#owner = owner;
  }

  /** How many bytes have passed. */
  get passed(): number {
    return this.#passed;
  }

  /** What has passed, as the receiver got it. */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (!this.record) throw new TypeError("This tap does not record");
    return concat(this.#recorded);
  }

  /** Loses the link when exactly `count` bytes have passed, or now if more have. */
  cutAfter(count: number): void {
    this.#plan({ at: count, kind: "cut" });
  }

  /** Lets nothing pass any more after `count` bytes, until {@linkcode TapFlow.resume}. */
  stallAfter(count: number): void {
    this.#plan({ at: count, kind: "stall" });
  }

  /** Lets nothing pass any more from now on, until {@linkcode TapFlow.resume}. */
  stall(): void {
    this.#stalled ??= Promise.withResolvers();
  }

  /** Ends a stall. */
  resume(): void {
    this.#stalled?.resolve();
    this.#stalled = undefined;
  }

  /**
   * Changes a byte that has not passed yet.
   * @param offset Which one, from the start of the connection.
   * @param flip The bits to turn over.
   */
  corruptAt(offset: number, flip = 0xff): void {
    if (offset < this.#taken) {
      throw new RangeError(`Byte ${offset} is among the ${this.#taken} that have passed already`);
    }
    this.#flips.set(offset, (this.#flips.get(offset) ?? 0) ^ flip);
  }

  /** Lets no more than this many bytes pass in a second; `Infinity` ends it. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#wake?.();
  }

  /**
   * Waits until so many bytes have passed.
   * @param count How many.
   * @throws {Error} When the connection ends before.
   */
  async waitFor(count: number): Promise<void> {
    await this.#totals.wait((total) => total >= count, { what: `${count} bytes through the tap` });
  }

  /**
   * Relays until the end of the stream or of the connection; the tap itself calls this.
   * @param from Where bytes come from.
   * @param to Where they go.
   */
  async run(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(CHUNK);
    try {
      this.#act();
      while (!this.#ended) {
        const size = Math.min(CHUNK, Math.ceil(this.#bytesPerSecond / THROTTLED_READS));
        const count = await from.read(buffer.subarray(0, size));
        if (count === null) return await to.closeWrite();
        await this.#relay(buffer.subarray(0, count), to);
      }
    } catch (error) {
      // The link is lost, by us or by one of the ends: the other one learns it at once.
      if (!isLinkLost(error)) throw error;
      this.#owner.cut();
    } finally {
      this.end();
    }
  }

  /**
   * Says that nothing will pass any more; the tap itself calls this.
   * @param cause Why, when it is not an end like any other.
   */
  end(cause?: unknown): void {
    this.#ended = true;
    this.resume();
    this.#wake?.();
    this.#totals.end(new Error(`Connection ended after ${this.#passed} bytes`, { cause }));
  }

  async #relay(piece: Uint8Array<ArrayBuffer>, to: Deno.Conn): Promise<void> {
    while (piece.length > 0) {
      await this.#stalled?.promise;
      if (this.#ended) return;
      const room = (this.#actions[0]?.at ?? Infinity) - this.#passed;
      const part = piece.subarray(0, Math.min(piece.length, room));
      this.#taken += part.length;
      this.#corrupt(part);
      await writeAll(to, part);
      if (this.record) this.#recorded.push(part.slice());
      this.#passed += part.length;
      this.#totals.push(this.#passed);
      piece = piece.subarray(part.length);
      this.#act();
      await this.#sleep(part.length / this.#bytesPerSecond);
    }
  }

  #corrupt(part: Uint8Array): void {
    for (const [offset, flip] of this.#flips) {
      const at = offset - this.#passed;
      if (at < 0 || at >= part.length) continue;
      part[at] = part[at]! ^ flip;
      this.#flips.delete(offset);
    }
  }

  #plan(action: Action): void {
    this.#actions = [...this.#actions, action].sort((a, b) => a.at - b.at);
    this.#act();
  }

  /** Does what is due at this byte. */
  #act(): void {
    while (this.#actions[0] && this.#actions[0].at <= this.#passed) {
      const { kind } = this.#actions.shift()!;
      if (kind === "cut") this.#owner.cut();
      else this.stall();
    }
  }

  async #sleep(seconds: number): Promise<void> {
    if (seconds === 0 || this.#ended) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, seconds * 1000);
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }
}

function isLinkLost(error: unknown): boolean {
  const kinds = [
    Deno.errors.BadResource,
    Deno.errors.BrokenPipe,
    Deno.errors.ConnectionReset,
    Deno.errors.Interrupted,
    Deno.errors.NotConnected,
  ];
  return kinds.some((kind) => error instanceof kind);
}
