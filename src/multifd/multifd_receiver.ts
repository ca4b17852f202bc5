/**
 * The incoming multifd channels as the main thread sees them: a worker each
 * (`multifd/receive_loop.ts`) places what arrives, and the main thread meets them at every
 * synchronisation.
 *
 * @module
 */
import { ConnectionLostError, type MigrationError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { MultifdCompression } from "./method.ts";
import type { MultifdReceiveStart } from "./receive_loop.ts";
import { SyncGate } from "./sync_gate.ts";

/** The workers' module. */
export const MULTIFD_RECEIVE = new URL("../../workers/multifd_receive.ts", import.meta.url);

/** What the channels are made of. */
export interface MultifdReceiverOptions {
  /** The connections, identified, in the order of their numbers. */
  readonly channels: readonly Endpoint[];
  readonly compression: Pick<MultifdCompression, "method" | "codec">;
  /** Where there may be threads already. */
  readonly spares?: SpareWorkers | undefined;
  /** Told of the first failure of a channel or its worker. */
  readonly onFailure: (error: MigrationError) => void;
}

interface ReceiveChannel {
  /** What messages call it. */
  readonly name: string;
  readonly counters: ChannelCounters;
  readonly endpoint: Endpoint;
  /** Rejects if its worker could not be started; `undefined` until RAM is known. */
  worker?: Promise<WorkerHandle<MultifdReceiveStart>>;
  /** Whether the source has ended it. */
  ended: boolean;
}

/** The receiving side of all multifd channels. */
export class MultifdReceiver implements AsyncDisposable {
  readonly #gate: SyncGate;
  readonly #channels: readonly ReceiveChannel[];
  #meeting = false;

  /** @param options The channels; their connections are closed with this. */
  constructor(private readonly options: MultifdReceiverOptions) {
    this.#gate = SyncGate.create(options.channels.length);
    this.#channels = options.channels.map((endpoint, index) => ({
      name: `multifd ${index}`,
      counters: new ChannelCounters(),
      endpoint,
      ended: false,
    }));
  }

  /** The channels' counters, by their names. */
  get counters(): readonly { readonly name: string; readonly counters: ChannelCounters }[] {
    return this.#channels;
  }

  /** The names of the channels that the main thread waits for. */
  get waitingFor(): readonly string[] {
    if (!this.#meeting) return [];
    return this.#gate.missing().map((index) => this.#channels[index]!.name);
  }

  /** Bytes received. */
  get passed(): number {
    return this.#channels.reduce((sum, { counters }) => sum + counters.get("bytes"), 0);
  }

  /** Starts the workers. @param ram Where pages go. */
  start(ram: GuestRam): void {
    for (const [index, channel] of this.#channels.entries()) {
      channel.worker = WorkerHandle.start<MultifdReceiveStart>({
        name: channel.name,
        url: MULTIFD_RECEIVE,
        spares: this.options.spares,
        start: {
          ...this.options.compression,
          index,
          channel: channel.endpoint.handOff(),
          ram: ram.layout,
          gate: this.#gate.buffer,
          counters: channel.counters.buffer,
        },
        interrupt: () => this.#gate.stop(),
      });
      const fail = (error: MigrationError) => {
        this.options.onFailure(error.at({ channel: channel.name }));
        this.#gate.wake();
      };
      channel.worker.then((handle) =>
        handle.ended.then(() => {
          channel.ended = true;
          this.#gate.wake();
        }, fail), fail);
    }
  }

  /**
   * Waits until every channel has had the SYNC that belongs to a mark on the main channel: all pages that
   * were sent before it are in their place.
   * @param check Throws when waiting has no point any more.
   * @param onMet Called when all have, and none goes on yet.
   * @throws {ConnectionLostError} If the source has ended a channel before.
   */
  async meet(check: () => void, onMet?: () => void): Promise<void> {
    this.#meeting = true;
    await this.#gate.meet(() => {
      check();
      for (const index of this.#gate.missing()) {
        const { ended, name } = this.#channels[index]!;
        if (!ended) continue;
        throw new ConnectionLostError("The source ended a channel that it has not synchronised", {
          place: { channel: name },
        });
      }
    }, onMet);
    this.#meeting = false;
  }

  /** Makes {@linkcode MultifdReceiver.meet} call its `check`. */
  wake(): void {
    this.#gate.wake();
  }

  /** Ends the workers and their connections at once, wherever they are. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#gate.stop();
    await Promise.all(this.#channels.map(async ({ worker, endpoint }) => {
      const handle = await worker?.catch(() => undefined);
      await handle?.stop();
      await endpoint.close();
    }));
  }
}
