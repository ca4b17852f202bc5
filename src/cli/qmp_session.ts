/**
 * `--qmp`: a program that others drive, until one of them says `quit`.
 *
 * @module
 */
import type { Arrival } from "../control/machine_target.ts";
import type { MigrationControl } from "../control/migration_control.ts";
import type { MigrationEvent } from "../control/migration_info.ts";
import type { Machine } from "../machine/machine.ts";
import { type QmpServer, serveQmp } from "../qmp/server.ts";
import type { DirtyLimiter, DirtyRateMeter, QmpTarget } from "../qmp/target.ts";
import { formatUri } from "../transport/uri.ts";
import { followIncoming, followOutgoing } from "./follow.ts";
import type { Output } from "./output.ts";
import { Pauses } from "./pauses.ts";

/** How a pause ends, told to either side. */
const OUTGOING_MENDED = "migrate-recover there, then migrate with resume=true here";
const INCOMING_MENDED = "migrate-recover here, then migrate with resume=true there";

/** What is driven. */
export interface QmpSessionOptions {
  readonly control: MigrationControl;
  /** The machine, as soon as there is one. */
  readonly machine: () => Machine | undefined;
  /** How fast its RAM is written; without it, it is an image. */
  readonly dirtying?: { readonly rate: DirtyRateMeter; readonly limiter: DirtyLimiter } | undefined;
  /** What becomes of a machine that arrives; without it, it is kept. */
  readonly arrival?: Arrival | undefined;
  readonly output: Output;
}

/** A QMP server and what is shown of what its clients do. */
export class QmpSession implements AsyncDisposable {
  readonly #quit = Promise.withResolvers<number>();
  readonly #shown = new Set<object>();
  readonly #stopListening: () => void;
  #server: QmpServer | undefined;

  private constructor(private readonly options: QmpSessionOptions) {
    this.#stopListening = options.control.onEvent((event) => this.#event(event));
  }

  /**
   * Starts the server.
   * @param at Where clients connect: `unix:PATH` or `tcp:HOST:PORT`.
   * @throws {UsageError | TransportError} If it cannot listen there.
   */
  static async start(at: string, options: QmpSessionOptions): Promise<QmpSession> {
    const session = new QmpSession(options);
    const { machine, dirtying, arrival } = options;
    const target: QmpTarget = {
      control: options.control,
      get machine() {
        return machine();
      },
      arrival,
      ...dirtying && { dirtyRate: dirtying.rate, dirtyLimit: dirtying.limiter },
      quit: (status) => session.#quit.resolve(status || statusOfLast(options.control)),
    };
    session.#server = await serveQmp(target, at);
    options.output.say(`QMP on ${session.#server.uri}`);
    return session;
  }

  /**
   * Resolves with the exit status when a client has ended the program: that of its last migration, for a
   * program that others wait for says the same whoever drove it; 0 if there was none.
   */
  get quit(): Promise<number> {
    return this.#quit.promise;
  }

  /** Ends the server; clients get what they were promised. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening();
    await this.#server?.[Symbol.asyncDispose]();
  }

  /** A migration begins with `setup`; who began it has it a moment later. */
  #event(event: MigrationEvent): void {
    if (event.event !== "MIGRATION" || event.data.status !== "setup") return;
    setTimeout(() => this.#show().catch((error) => this.options.output.failure(error)), 0);
  }

  async #show(): Promise<void> {
    const { control: { incoming, outgoing }, output } = this.options;
    if (outgoing && this.#isNew(outgoing)) {
      const info = await followOutgoing(outgoing, output, new Pauses(output, OUTGOING_MENDED));
      output.table(info, "Sent: it is the destination's now");
    } else if (incoming && this.#isNew(incoming)) {
      const uri = formatUri(await incoming.listening);
      output.event({ event: "LISTENING", data: { uri } });
      output.say(`Waiting for a machine on ${uri}`);
      const info = await followIncoming(incoming, output, new Pauses(output, INCOMING_MENDED));
      output.table(info, "Received");
    }
  }

  #isNew(migration: object): boolean {
    if (this.#shown.has(migration)) return false;
    this.#shown.add(migration);
    return true;
  }
}

function statusOfLast({ status }: MigrationControl): number {
  return status === "none" || status === "completed" ? 0 : 1;
}
