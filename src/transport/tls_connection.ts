/**
 * TLS on a connection as the main thread sees it: a worker speaks it, and everybody else has the rings of
 * a bridge.
 *
 * @module
 */
import { asMigrationError, SettingError, TransportError } from "../errors.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import { abandonBridge, BridgeChannel, bridgeSpec } from "./bridge.ts";
import type { BridgeSpec, Channel } from "./channel.ts";
import type { Connection } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import { Listener } from "./listener.ts";
import { loadCredentials } from "./tls_credentials.ts";
import type { TlsOptions, TlsSetup, TlsSource } from "./tls_options.ts";
import type { TransportOptions } from "./options.ts";
import { reasonOf } from "./os_error.ts";
import type { FromTlsSession, TlsSessionStart } from "./tls_session.ts";
import type { MigrationUri } from "./uri.ts";
import { waitFor, type WaitOptions } from "./wait.ts";

/** The worker's module. */
export const TLS_SESSION = new URL("../../workers/tls_session.ts", import.meta.url);

/** How long a client may take for its handshake, in milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Handshakes at a time: each has a thread, and anybody can begin one. */
const HANDSHAKES_MAX = 32;

type SessionWorker = WorkerHandle<TlsSessionStart, never, FromTlsSession>;

/** A connection that a worker encrypts. */
class TlsConnection implements Connection {
  readonly direction = "both";
  #channel: BridgeChannel | undefined;

  constructor(
    private readonly plain: Endpoint,
    private readonly worker: SessionWorker,
    private readonly spec: BridgeSpec,
  ) {}

  get peer(): string {
    return this.plain.peer;
  }

  open(): Channel {
    return this.#channel ??= new BridgeChannel(this.spec);
  }

  withdrawRead(): void {
    this.#channel?.withdrawRead();
  }

  async close(): Promise<void> {
    this.#channel?.close();
    await this.abandon();
  }

  handOff(head: Uint8Array): BridgeSpec {
    return head.length === 0 ? this.spec : { ...this.spec, head };
  }

  handOffHalves(head: Uint8Array): { read: BridgeSpec; write: BridgeSpec } {
    return {
      read: { ...this.handOff(head), direction: "read" },
      write: { ...this.spec, direction: "write" },
    };
  }

  async abandon(): Promise<void> {
    await this.worker.stop();
    await this.plain.close();
  }
}

/**
 * The name that a destination's certificate has to be for.
 * @throws {SettingError} If there is none: no certificate could be the right one.
 */
export function expectedHostname(uri: MigrationUri, options: TlsOptions): string {
  const { hostname = "" } = options;
  if (hostname !== "") return hostname;
  if (uri.kind === "tcp" && uri.host !== "") return uri.host;
  throw new SettingError(`TLS over ${uri.kind} needs to know the destination's name`, {
    advice: "Set tls-hostname to the name in the destination's certificate.",
  });
}

/**
 * Makes a connection one that is encrypted.
 * @param plain The connection, which is the new one's from here on; it is closed if this fails.
 * @param setup Which side this is, with its credentials.
 * @param options When to give up, and where there may be a thread already.
 * @throws {TransportError} If the peer does not speak TLS, or one does not accept the other.
 * @throws {CancelledError} If it was given up.
 */
export async function secure(
  plain: Endpoint,
  setup: TlsSetup,
  options: WaitOptions & Pick<TransportOptions, "spares">,
): Promise<Endpoint> {
  let worker: SessionWorker | undefined;
  try {
    if (plain.direction !== "both") {
      throw new SettingError(`TLS needs a connection with two directions, not ${plain.peer}`, {
        advice: "Unset tls-creds.",
      });
    }
    const { name, ...spec } = { ...bridgeSpec(plain.peer), name: `TLS with ${plain.peer}` };
    const { inbound, outbound } = spec;
    const secured = Promise.withResolvers<void>();
    secured.promise.catch(() => {}); // if it was given up meanwhile, nobody waits for it
    worker = await WorkerHandle.start<TlsSessionStart, never, FromTlsSession>({
      name,
      url: TLS_SESSION,
      spares: options.spares,
      // Only a file's spec is of another kind, and a file has one direction.
      start: { channel: plain.handOff() as TlsSessionStart["channel"], setup, inbound, outbound },
      onMessage: () => secured.resolve(),
    });
    const over = (error: unknown) => {
      secured.reject(error);
      abandonBridge(spec, reasonOf(error)); // the thread that would say so is gone
    };
    worker.ended.then(
      () => over(new TransportError(`No TLS with ${plain.peer}: it was stopped`)),
      over,
    );
    await waitFor<void>(`The TLS handshake with ${plain.peer}`, options, (settle) => {
      secured.promise.then(settle.resolve, settle.reject);
      return () => {};
    });
    return new Endpoint(new TlsConnection(plain, worker, spec));
  } catch (error) {
    await worker?.stop();
    await plain.close();
    throw error;
  }
}

/** The credentials as they were read for the same options. */
class ServerSetup {
  #tls: TlsOptions | undefined;
  #setup: Promise<TlsSetup> | undefined;

  constructor(private readonly source: TlsSource) {}

  /** @returns Nothing if connections are not encrypted now. */
  async current(): Promise<TlsSetup | undefined> {
    const tls = await this.source();
    if (tls !== this.#tls) {
      this.#tls = tls;
      this.#setup = tls && loadCredentials(tls, "server");
    }
    return await this.#setup;
  }
}

/**
 * Makes a listener one whose connections are encrypted; who fails at that is turned away.
 * @param plain Where connections come from; it is closed with the new one.
 * @param source The credentials, asked for now and for each connection.
 * @param options Who is told of those, and where there may be threads already.
 * @throws {TransportError} If the credentials cannot be used now; `plain` is closed then.
 */
export async function secureListener(
  plain: Listener,
  source: TlsSource,
  options: Pick<TransportOptions, "onRefused" | "spares"> = {},
): Promise<Listener> {
  const credentials = new ServerSetup(source);
  try {
    await credentials.current();
  } catch (error) {
    await plain.close();
    throw error;
  }
  const over = new AbortController();
  const handshakes = new Set<Promise<void>>();
  const listener = new Listener(plain.uri, async () => {
    over.abort();
    await plain.close();
    await Promise.all(handshakes);
  });
  const handshake = async (endpoint: Endpoint): Promise<void> => {
    try {
      const setup = await credentials.current();
      const timing = { signal: over.signal, timeoutMs: HANDSHAKE_TIMEOUT_MS };
      listener.offer(
        setup ? await secure(endpoint, setup, { ...timing, spares: options.spares }) : endpoint,
      );
    } catch (thrown) {
      await endpoint.close();
      if (over.signal.aborted) return;
      const { message } = asMigrationError(thrown);
      options.onRefused?.(
        new TransportError(`Refused a connection from ${endpoint.peer}: ${message}`, {
          cause: thrown,
        }),
      );
    }
  };
  const serve = async () => {
    for await (const endpoint of plain) {
      const running = handshake(endpoint);
      handshakes.add(running);
      running.finally(() => handshakes.delete(running));
      while (handshakes.size >= HANDSHAKES_MAX) await Promise.race(handshakes);
    }
    await Promise.all(handshakes);
    listener.end();
  };
  serve();
  return listener;
}
