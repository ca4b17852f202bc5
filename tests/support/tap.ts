/**
 * A relay between the two ends of a migration that records what passes and breaks it on demand.
 *
 * Connections are numbered in the order they come: with multifd 0 is the main channel, with
 * postcopy-preempt 1 is the preempt channel, after a recovery the next number is the new main channel.
 *
 * @module
 */
import { EventLog, withPatience } from "./event_log.ts";
import { closeQuietly, connectTo, listenOn } from "./sockets.ts";
import { TapFlow } from "./tap_flow.ts";

/** How to make a {@linkcode Tap}. */
export interface TapOptions {
  /** Where the other end listens, or will; `unix:PATH` or `tcp:HOST:PORT`. */
  readonly to: string;
  /** Where the tap listens. @default {`to` and ".tap" for unix, any port of 127.0.0.1 for tcp} */
  readonly listen?: string;
  /** Whether to keep what passes. @default {true} */
  readonly record?: boolean;
}

/** One connection through the tap. */
export class TapConnection {
  /** From the end that connected to the end that listened: from source to destination. */
  readonly forward: TapFlow;
  /** The other way: the return path. */
  readonly back: TapFlow;
  readonly #ends: Deno.Conn[] = [];
  readonly #done = Promise.withResolvers<void>();
  #cut = false;

  /** @param record Whether to keep what passes. */
  constructor(record: boolean) {
    this.forward = new TapFlow(this, record);
    this.back = new TapFlow(this, record);
  }

  /** When both directions have ended; never for a connection that does not come. */
  get done(): Promise<void> {
    return withPatience(this.#done.promise, "the end of a tapped connection");
  }

  /**
   * Loses the link: both ends see the connection closed.
   * @param cause Why, when it is not on purpose.
   */
  cut(cause?: unknown): void {
    this.#cut = true;
    this.#ends.forEach(closeQuietly);
    this.forward.end(cause);
    this.back.end(cause);
  }

  /**
   * Relays until both directions have ended; the tap itself calls this.
   * @param client The end that connected.
   * @param to Where the other end listens.
   */
  async run(client: Deno.Conn, to: string): Promise<void> {
    this.#ends.push(client);
    const server = this.#cut ? undefined : await connectTo(to).catch((error) => this.cut(error));
    await this.#relay(client, server);
  }

  /**
   * Relays between two that have both connected to the test, until both directions have ended.
   * @param client The source.
   * @param server The destination.
   */
  async join(client: Deno.Conn, server: Deno.Conn): Promise<void> {
    this.#ends.push(client);
    await this.#relay(client, server);
  }

  async #relay(client: Deno.Conn, server: Deno.Conn | void): Promise<void> {
    try {
      if (!server) return;
      this.#ends.push(server);
      if (this.#cut) return;
      await Promise.all([this.forward.run(client, server), this.back.run(server, client)]);
    } finally {
      this.cut();
      this.#done.resolve();
    }
  }
}

/** A relay. */
export class Tap implements AsyncDisposable {
  /** Where to connect instead. */
  readonly uri: string;
  readonly #listener: Deno.Listener;
  readonly #connections: TapConnection[] = [];
  readonly #accepted = new EventLog<TapConnection>();
  readonly #running = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  readonly #failures: unknown[] = [];
  #bytesPerSecond = Infinity;
  #down = false;

  /**
   * Begins to listen.
   * @param options Between which two.
   */
  constructor(private readonly options: TapOptions) {
    const { to, listen } = options;
    const wanted = listen ?? (to.startsWith("unix:") ? `${to}.tap` : "tcp:127.0.0.1:0");
    ({ listener: this.#listener, uri: this.uri } = listenOn(wanted));
    this.#accepting = this.#accept();
  }

  /** How many connections have come. */
  get accepted(): number {
    return this.#accepted.entries.length;
  }

  /**
   * A connection, which need not have come yet: faults can be planned for it.
   * @param index Its number.
   * @returns It.
   */
  connection(index = 0): TapConnection {
    while (this.#connections.length <= index) {
      const connection = new TapConnection(this.options.record ?? true);
      connection.forward.throttle(this.#bytesPerSecond);
      this.#connections.push(connection);
    }
    return this.#connections[index]!;
  }

  /** The bytes from source to destination on a connection. */
  forward(index = 0): TapFlow {
    return this.connection(index).forward;
  }

  /** The bytes from destination to source on a connection. */
  back(index = 0): TapFlow {
    return this.connection(index).back;
  }

  /** Waits until so many connections have come. */
  async waitForConnections(count: number): Promise<void> {
    await this.#accepted.wait(() => this.accepted >= count, { what: `${count} connections` });
  }

  /** Loses the link now: every connection is closed and, until {@linkcode Tap.restore}, new ones too. */
  cut(): void {
    this.#down = true;
    for (const connection of this.#accepted.entries) connection.cut();
  }

  /** Lets new connections pass again. */
  restore(): void {
    this.#down = false;
  }

  /** Loses connection 0 when exactly so many bytes have passed from source to destination. */
  cutAfter(count: number): void {
    this.forward().cutAfter(count);
  }

  /** Lets nothing pass on connections that are there, in both directions, until {@linkcode Tap.resume}. */
  stall(): void {
    for (const { forward, back } of this.#connections) {
      [forward, back].forEach((flow) => flow.stall());
    }
  }

  /** Ends every stall. */
  resume(): void {
    for (const { forward, back } of this.#connections) {
      [forward, back].forEach((flow) => flow.resume());
    }
  }

  /** Lets each connection, also those to come, pass no more than this many bytes in a second to the destination. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    for (const { forward } of this.#connections) forward.throttle(bytesPerSecond);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeQuietly(this.#listener);
    this.cut();
    await this.#accepting;
    await Promise.all(this.#running);
    if (this.#failures.length > 0) throw new AggregateError(this.#failures, "The tap failed");
  }

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) {
        const connection = this.connection(this.accepted);
        if (this.#down) connection.cut();
        const running = connection.run(client, this.options.to)
          .catch((error) => void this.#failures.push(error))
          .finally(() => this.#running.delete(running));
        this.#running.add(running);
        this.#accepted.push(connection);
      }
    } finally {
      this.#accepted.end(new Error(`The tap was closed after ${this.accepted} connections`));
    }
  }
}
