/**
 * The connections of an incoming migration: which of them is the main channel, which multifd channel is
 * which (wire-format §6.1; QEMU `migration/migration.c`, `migration_ioc_process_incoming`).
 *
 * Channels come in any order, and anybody can connect. A connection that begins like neither kind of
 * channel, or says nothing, is nobody's and is dropped; one that introduces itself as a multifd channel
 * and does not fit fails the migration. So does one that ends while others are missing: a source does not
 * open a channel twice, and whoever opens all of them anew finds the first ones taken.
 *
 * @module
 */
import {
  ConnectionLostError,
  IncompatibleError,
  type MigrationError,
  StateError,
  StreamFormatError,
} from "../errors.ts";
import { decodeIntroduction, INTRODUCTION_BYTES, MULTIFD_MAGIC } from "../multifd/packet.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { Listener } from "../transport/listener.ts";
import { STREAM_MAGIC } from "../wire/stream_header.ts";

/** How long the others may take once one channel is there, in milliseconds. */
export const CHANNELS_TIMEOUT_MS = 10_000;

/** What a destination waits for. */
export interface ExpectedChannels {
  /**
   * How many multifd channels, besides the main one; unless it is 0, it may change until the first channel
   * has introduced itself.
   */
  readonly multifd: number;
  /** The machine's UUID; without one, all channels must only agree. */
  readonly uuid?: Uint8Array;
  readonly signal: AbortSignal;
  /** @default {CHANNELS_TIMEOUT_MS} */
  readonly timeoutMs?: number;
}

/** All channels of one migration. */
export interface IncomingChannels {
  readonly main: Endpoint;
  /** In the order of their numbers. */
  readonly multifd: readonly Endpoint[];
}

/**
 * Waits for a source's connections.
 * @returns When all are there and identified.
 * @throws {ConnectionLostError} If some do not come in time, which it names, or one ends before.
 * @throws {StreamFormatError | IncompatibleError} If a channel's introduction does not fit.
 * @throws {StateError} If the listener was closed before.
 */
export async function acceptChannels(
  listener: Listener,
  expected: ExpectedChannels,
): Promise<IncomingChannels> {
  if (expected.multifd === 0) {
    const main = await listener.accept({ signal: expected.signal });
    if (!main) throw listenerClosed();
    return { main, multifd: [] };
  }
  return await new Gathering(listener, expected).run();
}

/** Connections that come together. */
class Gathering {
  readonly #result = Promise.withResolvers<IncomingChannels>();
  readonly #over = new AbortController();
  readonly #identifying = new Set<Promise<void>>();
  #places: (Endpoint | undefined)[] | undefined;
  #main: Endpoint | undefined;
  #uuid: Uint8Array | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly listener: Listener, private readonly expected: ExpectedChannels) {
    this.#uuid = expected.uuid;
  }

  /** As many places as are wanted when the first channel has introduced itself. */
  get #multifd(): (Endpoint | undefined)[] {
    return this.#places ??= Array.from({ length: this.expected.multifd }, () => undefined);
  }

  async run(): Promise<IncomingChannels> {
    const accepting = this.#acceptAll();
    const stop = async () => {
      clearTimeout(this.#timer);
      this.#over.abort();
      await accepting;
      await Promise.all(this.#identifying);
    };
    try {
      const channels = await this.#result.promise;
      await stop();
      await Promise.all([channels.main, ...channels.multifd].map((each) => each.endWatch()));
      return channels;
    } catch (error) {
      await stop();
      const open = [this.#main, ...this.#multifd];
      await Promise.all(open.map((endpoint) => endpoint?.close()));
      throw error;
    }
  }

  async #acceptAll(): Promise<void> {
    const signal = AbortSignal.any([this.expected.signal, this.#over.signal]);
    try {
      for (;;) {
        const endpoint = await this.listener.accept({ signal });
        if (!endpoint) return this.#result.reject(listenerClosed());
        const identifying = this.#identify(endpoint, signal);
        this.#identifying.add(identifying);
        identifying.finally(() => this.#identifying.delete(identifying));
      }
    } catch (error) {
      this.#result.reject(error);
    }
  }

  /** Finds out what a connection is and keeps it, or closes it. */
  async #identify(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
    let kept = false;
    try {
      const magic = await endpoint.readHead(4, { signal });
      if (magic.length < 4) return;
      const number = new DataView(magic.buffer).getUint32(0);
      if (number === STREAM_MAGIC) kept = this.#keepMain(endpoint);
      else if (number === MULTIFD_MAGIC) kept = await this.#keepMultifd(endpoint, signal);
    } catch (error) {
      // One that breaks before it has said who it is was nobody; if it was somebody, it will be missed.
      if (error instanceof StreamFormatError || error instanceof IncompatibleError) {
        this.#result.reject(error.at({ channel: "multifd" }));
      }
    } finally {
      if (!kept) await endpoint.close();
    }
    if (kept) this.#arrived(endpoint);
  }

  #keepMain(endpoint: Endpoint): boolean {
    if (this.#main) return false;
    this.#main = endpoint;
    return true;
  }

  async #keepMultifd(endpoint: Endpoint, signal: AbortSignal): Promise<boolean> {
    const head = await endpoint.readHead(INTRODUCTION_BYTES, { signal });
    if (head.length < INTRODUCTION_BYTES) return false;
    const { uuid, channel } = decodeIntroduction(head);
    const refuse = (what: string, advice: string): MigrationError =>
      new IncompatibleError(`${what}, from ${endpoint.peer}`, {
        place: { channel: `multifd ${channel}` },
        advice,
      });
    if (channel >= this.#multifd.length) {
      throw refuse(
        `A multifd channel with number ${channel}: this side expects ${this.#multifd.length}`,
        "Give both sides the same multifd-channels.",
      );
    }
    this.#uuid ??= uuid;
    if (!uuid.every((byte, i) => byte === this.#uuid![i])) {
      throw refuse(
        `A multifd channel of machine ${uuid.toHex()}: this one is ${this.#uuid.toHex()}`,
        "Something else connected, or the machines have different UUIDs.",
      );
    }
    if (this.#multifd[channel]) {
      throw refuse("A multifd channel that is there already", "Something else connected.");
    }
    this.#multifd[channel] = endpoint;
    return true;
  }

  #arrived(endpoint: Endpoint): void {
    const { timeoutMs = CHANNELS_TIMEOUT_MS } = this.expected;
    this.#timer ??= setTimeout(() => this.#result.reject(this.#late(timeoutMs)), timeoutMs);
    const main = this.#main;
    const multifd = this.#multifd.filter((endpoint) => endpoint !== undefined);
    if (main && multifd.length === this.#multifd.length) this.#result.resolve({ main, multifd });
    else endpoint.watchEnd((reason) => this.#result.reject(this.#lost(endpoint, reason)));
  }

  #lost(endpoint: Endpoint, cause: unknown): ConnectionLostError {
    const index = this.#multifd.indexOf(endpoint);
    return new ConnectionLostError(
      `Lost the connection to ${endpoint.peer} before ${this.#missing().join(", ")} had come`,
      {
        ...{ cause, place: { channel: index < 0 ? "main" : `multifd ${index}` } },
        advice: "See why the source gave up, and begin anew on both sides.",
      },
    );
  }

  /** The names of those that have not come. */
  #missing(): string[] {
    const names = this.#multifd.flatMap((endpoint, i) => endpoint ? [] : [`multifd ${i}`]);
    return this.#main ? names : ["main", ...names];
  }

  #late(timeoutMs: number): ConnectionLostError {
    const names = this.#missing();
    return new ConnectionLostError(
      `The source opened ${this.#multifd.length + 1 - names.length} of ` +
        `${this.#multifd.length + 1} channels within ${timeoutMs} ms`,
      {
        place: { channel: names.join(", ") },
        advice: "Give both sides the same multifd and multifd-channels.",
      },
    );
  }
}

function listenerClosed(): StateError {
  return new StateError("The listener was closed before a source came");
}
