/**
 * The multifd channels of an outgoing migration: connections, workers, and what they change about the
 * way RAM is sent.
 *
 * @module
 */
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import { type MigrationError, TransportError } from "../errors.ts";
import { dialectOf, type MultifdDialect } from "../multifd/dialect.ts";
import { MultifdSender } from "../multifd/multifd_sender.ts";
import { encodeIntroduction } from "../multifd/packet.ts";
import type { OutgoingStream } from "../ram/outgoing_stream.ts";
import { RamSaver } from "../ram/save.ts";
import { ZeroPass } from "../ram/zero_pass.ts";
import type { Progress } from "../threads/job_ring.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { connect } from "../transport/connect.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { TransportOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { NamedCounters } from "./channel_info.ts";
import { compressionOf, requireMultiChannel } from "./multi_channel.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { Parameters } from "./parameters.ts";
import type { Watched } from "./stall_watch.ts";

/** The UUID of a machine that has none. */
const NO_UUID = new Uint8Array(16);

/** What channels are opened with. */
export interface OutgoingChannelsOptions {
  readonly uri: MigrationUri;
  readonly machine: OutgoingMachine;
  readonly parameters: Parameters;
  readonly transport: TransportOptions;
}

/** What the workers need. */
export interface ChannelWorkersOptions {
  readonly progress: Progress;
  /** Where there may be threads already. */
  readonly spares?: SpareWorkers | undefined;
  /** Where the hash log wants the digests of what is sent. */
  readonly digests?: DigestTableLayout;
  /** Told of the first failure of a channel. */
  readonly onFailure: (error: MigrationError) => void;
}

/** Threads that send pages, beside the main channel. */
export interface PageChannels extends AsyncDisposable {
  /** Starts the threads; they take pages as they come up. */
  start(workers: ChannelWorkersOptions): PageThreads;
  /** Makes what sends the `ram` section. @param stream The main channel. */
  saver(stream: OutgoingStream): RamSaver;
  /** Ends them once they have sent everything. */
  end(check: () => void): Promise<void>;
  /** Resolves when all have. */
  ended(): Promise<void>;
}

/** Such threads at work. */
export interface PageThreads extends Watched {
  readonly counters: readonly NamedCounters[];
}

/** All multifd channels of one outgoing migration. */
export class OutgoingChannels implements PageChannels {
  readonly #dialect: MultifdDialect;
  #sender: MultifdSender | undefined;

  private constructor(
    private readonly options: OutgoingChannelsOptions,
    private readonly endpoints: readonly Endpoint[],
  ) {
    this.#dialect = dialectOf(options.machine.configuration.machine);
  }

  /**
   * Connects and introduces every channel. Call it when the main channel is connected: a QEMU 7.2 takes
   * the first connection for that one.
   * @throws {SettingError} If the address gives a single connection.
   * @throws {TransportError | ConnectionLostError | CancelledError} If one fails; none is left open.
   */
  static async connect(options: OutgoingChannelsOptions): Promise<OutgoingChannels> {
    const { uri, machine, parameters } = options;
    const { tls } = options.transport;
    const transport = { ...options.transport, ...tls && { tls: { ...tls, farewell: true } } };
    requireMultiChannel(uri);
    const uuid = machine.uuid ?? machine.configuration.uuid ?? NO_UUID;
    const connecting = Array.from(
      { length: parameters["multifd-channels"] },
      async (_, channel) => {
        const endpoint = await connect(uri, transport);
        await endpoint.writeHead(encodeIntroduction({ uuid, channel }), transport);
        return endpoint;
      },
    );
    const settled = await Promise.allSettled(connecting);
    const endpoints = settled.flatMap((each) => each.status === "fulfilled" ? [each.value] : []);
    const failed = settled.findIndex((each) => each.status === "rejected");
    if (failed < 0) return new OutgoingChannels(options, endpoints);
    await Promise.all(endpoints.map((endpoint) => endpoint.close()));
    const { reason } = settled[failed] as PromiseRejectedResult;
    throw withAdvice(reason).at({ channel: `multifd ${failed}` });
  }

  start(workers: ChannelWorkersOptions): MultifdSender {
    const { machine, parameters, transport } = this.options;
    return this.#sender = new MultifdSender({
      ...workers,
      channels: this.endpoints.map((endpoint) => endpoint.handOff()),
      ram: machine.ram,
      dialect: this.#dialect,
      detectZero: parameters["zero-page-detection"] !== "none" && !this.#zerosOnMain,
      compression: compressionOf(parameters, transport.handOff),
    });
  }

  saver(stream: OutgoingStream): RamSaver {
    const { ram, ramSectionId } = this.options.machine;
    const zeroPass = this.#zerosOnMain ? new ZeroPass(stream) : undefined;
    return new RamSaver(ram, stream, this.#sender!, ramSectionId, zeroPass);
  }

  async end(check: () => void): Promise<void> {
    await this.#sender!.end(check);
  }

  async ended(): Promise<void> {
    await this.#sender!.ended();
  }

  /** Ends the workers and their connections at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sender?.[Symbol.asyncDispose]();
    await Promise.all(this.endpoints.map((endpoint) => endpoint.close()));
  }

  get #zerosOnMain(): boolean {
    const detection = this.options.parameters["zero-page-detection"];
    return detection === "legacy" || (detection === "multifd" && !this.#dialect.zeroLists);
  }
}

/** Where the main channel is connected, an address is not what is wrong. */
function withAdvice(reason: MigrationError): MigrationError {
  if (!(reason instanceof TransportError)) return reason;
  return new TransportError(reason.what, {
    cause: reason,
    place: reason.place,
    advice:
      "The main channel is there: does the destination have multifd, with as many multifd-channels?",
  });
}
