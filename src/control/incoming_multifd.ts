/**
 * The multifd channels of an incoming migration, and at which marks of the main channel they are met.
 *
 * @module
 */
import type { MigrationError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { MultifdReceiver } from "../multifd/multifd_receiver.ts";
import type { SectionPart } from "../savevm/load.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { TransportOptions } from "../transport/options.ts";
import type { NamedCounters } from "./channel_info.ts";
import { compressionOf } from "./multi_channel.ts";
import type { Parameters } from "./parameters.ts";
import { StallWatch } from "./stall_watch.ts";

/** What the channels are made of. */
export interface IncomingMultifdOptions {
  /** The connections, identified, in the order of their numbers. */
  readonly channels: readonly Endpoint[];
  readonly parameters: Parameters;
  readonly handOff: TransportOptions["handOff"];
  /** Where there may be threads already. */
  readonly spares?: SpareWorkers;
  /** How long nothing may pass on channels that are waited for, in milliseconds. */
  readonly stallTimeout?: number | undefined;
  /** Called once, when all pages have been sent a first time and no thread writes any. */
  readonly onRoundEnd?: () => void;
  /** Told of the first failure. */
  readonly onFailure: (error: MigrationError) => void;
  /** Throws once something has failed. */
  readonly check: () => void;
}

/** All multifd channels of one incoming migration. */
export class IncomingMultifd implements AsyncDisposable {
  readonly #receiver: MultifdReceiver;
  readonly #stallWatch: StallWatch;
  #flushes = 0;
  /** Whether the source synchronises at the end of every section, and says so nowhere. */
  #eachSection = false;

  /** @param options The channels; they are closed with this. */
  constructor(private readonly options: IncomingMultifdOptions) {
    const { parameters, handOff, channels, spares, stallTimeout, onFailure } = options;
    this.#receiver = new MultifdReceiver({
      channels,
      spares,
      onFailure,
      compression: compressionOf(parameters, handOff),
    });
    this.#stallWatch = new StallWatch(() => [this.#receiver], onFailure, stallTimeout);
  }

  /** The channels' counters, by their names. */
  get counters(): readonly NamedCounters[] {
    return this.#receiver.counters;
  }

  /** Bytes received. */
  get received(): number {
    return this.#receiver.passed;
  }

  /** Begins to place pages. @param ram Where they go. */
  start(ram: GuestRam): void {
    this.#receiver.start(ram);
  }

  /** The main channel has a flush record: every page that was sent before it must be in its place. */
  async flush(): Promise<void> {
    // The first is that of the setup.
    const roundEnds = ++this.#flushes === 2;
    await this.#receiver.meet(this.options.check, () => {
      if (roundEnds) this.options.onRoundEnd?.();
    });
  }

  /**
   * The main channel has the end of a payload of the `ram` section. QEMU knows from its machine type
   * whether that is a synchronisation; the setup shows it, which is flushed in either case.
   */
  async endOfPart(part: SectionPart): Promise<void> {
    if (part === "start" || part === "full") this.#eachSection = this.#flushes === 0;
    if (!this.#eachSection) return;
    await this.#receiver.meet(this.options.check, () => {
      // Where rounds end is not said; but this is the last.
      if (part === "end") this.options.onRoundEnd?.();
    });
  }

  /** Something has failed: whoever waits looks at it. */
  wake(): void {
    this.#receiver.wake();
  }

  /** Ends the workers and their connections at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stallWatch[Symbol.dispose]();
    await this.#receiver[Symbol.asyncDispose]();
  }
}
