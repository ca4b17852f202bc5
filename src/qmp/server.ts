/**
 * A QMP server on a Unix or TCP socket, for many clients at a time.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import { listen } from "../transport/listen.ts";
import type { Listener } from "../transport/listener.ts";
import { openChannel } from "../transport/open_channel.ts";
import type { SocketOptions } from "../transport/options.ts";
import { formatUri, type MigrationUri, parseUri } from "../transport/uri.ts";
import type { CommandTable } from "./command.ts";
import { qmpCommands } from "./commands.ts";
import { followEvents, type QmpEvent, qmpEvent } from "./events.ts";
import { JsonSplitter } from "./json_splitter.ts";
import { Outbox } from "./outbox.ts";
import { Session } from "./session.ts";
import type { QmpTarget } from "./target.ts";
import { QMP_VERSION } from "./version.ts";

/** So many clients at a time are served. */
const CLIENTS_MAX = 64;
/** How long a client may take to read its last answers when the server ends, in milliseconds. */
const FAREWELL_TIMEOUT_MS = 1000;
/** The most bytes that are taken at a time. */
const READ_SIZE = 16 * 1024;

/** How a server is made. */
export interface QmpServerOptions {
  /** How sockets are opened. */
  readonly transport?: SocketOptions;
}

interface Client {
  readonly session: Session;
  readonly outbox: Outbox;
  readonly served: Promise<void>;
}

/** A server, made by {@linkcode serveQmp}. */
export class QmpServer implements AsyncDisposable {
  /** Where it listens, with the port that was chosen. */
  readonly uri: string;
  readonly #commands: CommandTable;
  readonly #clients = new Set<Client>();
  readonly #stopFollowing: () => void;
  readonly #accepting: Promise<void>;

  /** Begins to serve. */
  constructor(target: QmpTarget, private readonly listener: Listener) {
    this.uri = formatUri(listener.uri);
    this.#commands = qmpCommands(target, () => this.#quit(target));
    this.#stopFollowing = followEvents(target, (event) => this.#broadcast(event));
    this.#accepting = this.#accept();
  }

  /** Stops serving: clients get what they were promised, if they read it soon. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopFollowing();
    await this.listener.close();
    await this.#accepting;
    await Promise.all([...this.#clients].map(dismiss));
  }

  async #accept(): Promise<void> {
    for await (const endpoint of this.listener) {
      if (this.#makeRoom()) this.#serve(endpoint);
      else await endpoint.close();
    }
  }

  /** Who has come and said nothing makes room for who comes now. @returns Whether there is room. */
  #makeRoom(): boolean {
    const here = [...this.#clients].filter(({ outbox }) => !outbox.closed);
    if (here.length < CLIENTS_MAX) return true;
    const silent = here.find(({ session }) => !session.negotiated);
    silent?.outbox.close();
    return silent !== undefined;
  }

  #serve(endpoint: Endpoint): void {
    const channel = openChannel(endpoint.handOff());
    const outbox = new Outbox(channel);
    const session = new Session({
      commands: this.#commands,
      version: QMP_VERSION,
      send: (line) => outbox.push(line),
      room: () => outbox.room(),
    });
    const splitter = new JsonSplitter();
    const converse = async (): Promise<void> => {
      const buffer = new Uint8Array(READ_SIZE);
      try {
        for (let count; (count = await channel.read(buffer)) > 0;) {
          for (const found of splitter.feed(buffer.subarray(0, count))) await session.take(found);
        }
        await session.answered();
        await outbox.drained();
      } catch {
        // The client is gone.
      } finally {
        outbox.close();
        await endpoint.close();
        this.#clients.delete(client);
      }
    };
    const client: Client = { session, outbox, served: converse() };
    this.#clients.add(client);
  }

  #broadcast(event: QmpEvent): void {
    for (const { session } of this.#clients) session.event(event);
  }

  /** The answer to `quit` leaves before the program does. */
  #quit(target: QmpTarget): void {
    this.#broadcast(qmpEvent("SHUTDOWN", { guest: false, reason: "host-qmp-quit" }));
    queueMicrotask(() => target.quit(0));
  }
}

/** Lets a client read what it was sent, and closes it; one that does not read is not waited for. */
async function dismiss({ session, outbox, served }: Client): Promise<void> {
  const timer = setTimeout(() => outbox.close(), FAREWELL_TIMEOUT_MS);
  await session.answered();
  await outbox.drained();
  clearTimeout(timer);
  outbox.close();
  await served;
}

/**
 * Serves QMP.
 * @param target What clients drive. Whoever can connect can also run commands on this host (`exec:`):
 * keep a TCP address to this machine.
 * @param at `unix:PATH` or `tcp:HOST:PORT`, with port 0 for any.
 * @returns The server; disposing of it ends it.
 * @throws {UsageError} If the address is of another kind.
 * @throws {TransportError} If it cannot listen there.
 */
export async function serveQmp(
  target: QmpTarget,
  at: string | MigrationUri,
  options: QmpServerOptions = {},
): Promise<QmpServer> {
  const uri = typeof at === "string" ? parseUri(at) : at;
  if (uri.kind !== "unix" && uri.kind !== "tcp") {
    throw new UsageError(`QMP is served on unix:PATH or tcp:HOST:PORT, not ${formatUri(uri)}`);
  }
  return new QmpServer(target, await listen(uri, options.transport));
}
