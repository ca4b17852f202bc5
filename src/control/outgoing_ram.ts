/**
 * The RAM of an outgoing migration: who says which pages were written, over which channels they go, and
 * what follows from every look at the dirty log.
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import type { DirtyLogChoice } from "../dirty/choose.ts";
import { HashLog } from "../dirty/hash_log.ts";
import { dialectOf } from "../multifd/dialect.ts";
import { RamSaver } from "../ram/save.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { Capabilities } from "./capabilities.ts";
import type { MigrationEvent, MigrationInfo } from "./migration_info.ts";
import { encodeBeginning } from "./outgoing_beginning.ts";
import { OutgoingMappedRam } from "./mapped_ram.ts";
import { requireTransport } from "./multi_channel.ts";
import { OutgoingChannels, type PageChannels } from "./outgoing_channels.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingStatistics } from "./outgoing_statistics.ts";
import type { OutgoingThrottle } from "./outgoing_throttle.ts";
import { OutgoingXbzrle } from "./outgoing_xbzrle.ts";
import type { Parameters } from "./parameters.ts";
import { requireAllPages } from "./postcopy_steps.ts";

/** The migration around it. */
export interface OutgoingRamOptions {
  readonly uri: MigrationUri;
  readonly machine: OutgoingMachine;
  readonly capabilities: Capabilities;
  /** The parameters now. */
  readonly parameters: () => Parameters;
  readonly statistics: OutgoingStatistics;
  readonly throttle: OutgoingThrottle;
  readonly spares: SpareWorkers | undefined;
  /** Announces an event. */
  readonly emit: (event: MigrationEvent) => void;
}

/** One migration's RAM. */
export class OutgoingRam implements AsyncDisposable {
  readonly #xbzrle: OutgoingXbzrle | undefined;
  #channels: PageChannels | undefined;
  #saver: RamSaver | undefined;
  #log: DirtyLogChoice | undefined;
  #startSent = false;
  #takenUp = false;

  /** @param options The rest of the migration. */
  constructor(private readonly options: OutgoingRamOptions) {
    const { capabilities, parameters, machine } = options;
    if (capabilities.xbzrle) this.#xbzrle = new OutgoingXbzrle(parameters(), machine.ram.pageSize);
  }

  /** What sends the `ram` section, once the channels are there. */
  get saver(): RamSaver {
    return this.#saver!;
  }

  /** What sends pages beside the main channel, if anything does. */
  get channels(): PageChannels | undefined {
    return this.#channels;
  }

  /** How much there is to be sent, in bytes. */
  get remaining(): number {
    if (this.#saver || !this.#takenUp) return this.#saver?.remaining ?? 0;
    const { ram } = this.options.machine;
    return ram.blocks.reduce((sum, { dirty }) => sum + dirty.count(), 0) * ram.pageSize;
  }

  /** What `query-migrate` says of it. */
  info(): MigrationInfo {
    return {
      ...(this.#xbzrle && { "xbzrle-cache": this.#xbzrle.info() }),
      ...(this.#log && { "dirty-log": this.#log.description }),
    };
  }

  /** Takes changed parameters. */
  setParameters(parameters: Parameters): void {
    this.#xbzrle?.setParameters(parameters);
  }

  /**
   * The machine runs at the destination, which will say what it lacks; until then that is everything.
   * @throws {IncompatibleError} If a page is not here.
   */
  takeUp(): void {
    const { machine } = this.options;
    this.#takenUp = true;
    machine.markAllDirty();
    requireAllPages(machine);
  }

  /**
   * Opens all channels, sends the beginning, starts the threads and the dirty log. All of RAM is to be
   * sent from here on.
   * @param link The main channel, which is not connected yet.
   * @throws {SettingError | IncompatibleError} If the pages cannot be sent in the way that is wanted.
   * @throws {TransportError} If a channel does not come about.
   */
  async open(link: OutgoingLink): Promise<void> {
    const { uri, capabilities, machine, parameters, spares, statistics } = this.options;
    const { pages, ram, ramSectionId } = machine;
    for (const capability of ["multifd", "mapped-ram"] as const) {
      if (!pages || !capabilities[capability]) continue;
      throw new SettingError(`With ${capability}, pages that are not in memory cannot be sent`, {
        advice: `Load the image, or turn the capability ${capability} off.`,
      });
    }
    requireTransport(uri, { capabilities, parameters: parameters() });
    await link.connect();
    this.#channels = await this.#openChannels(link);
    // After the other channels have said who they are: a destination that misses one of them can say which.
    await this.#begin(link);
    this.#log = await machine.startDirtyLog();
    machine.markAllDirty();
    if (capabilities["postcopy-ram"]) requireAllPages(machine);

    const digests = this.#log?.log instanceof HashLog && { digests: this.#log.log.digests };
    const sender = this.#channels?.start({
      progress: link.progress,
      spares,
      ...digests,
      onFailure: (error) => link.trouble.report(error),
    });
    await link.start({
      encoder: {
        ...{ detectZero: parameters()["zero-page-detection"] !== "none", pages, ...digests },
        ...(this.#channels && { onlyZero: true }),
        ...(this.#xbzrle && { xbzrle: this.#xbzrle.buffer }),
      },
      recovering: false,
      others: sender ? [sender] : [],
    });
    if (link.hasEarlyPreempt) await link.openPreempt();
    if (capabilities.multifd) statistics.addMultifd(sender?.counters ?? []);
    else for (const { counters } of sender?.counters ?? []) statistics.addChannel(counters);
    const { stream } = link;
    this.#saver = this.#channels?.saver(stream) ?? new RamSaver(ram, stream, stream, ramSectionId);
  }

  async #begin(link: OutgoingLink): Promise<void> {
    const { capabilities, machine } = this.options;
    const { syncEachSection } = dialectOf(machine.configuration.machine);
    this.#startSent = link.isTwoWay;
    await link.begin(encodeBeginning({
      ...{ machine, capabilities, opensReturnPath: link.opensReturnPath },
      ...(this.#startSent && { ramStart: { flushes: capabilities.multifd && !syncEachSection } }),
    }));
  }

  async #openChannels(link: OutgoingLink): Promise<PageChannels | undefined> {
    const { uri, capabilities, machine } = this.options;
    const parameters = this.options.parameters();
    if (capabilities["mapped-ram"]) {
      return new OutgoingMappedRam(link.file!, machine, { capabilities, parameters });
    }
    if (!capabilities.multifd) return undefined;
    const { transport } = link;
    return await OutgoingChannels.connect({ uri, machine, parameters, transport });
  }

  /** Sends the START of the section, unless it was part of the beginning. */
  async sendStart(check: () => void): Promise<void> {
    if (this.#startSent) await this.saver.startSent(check);
    else await this.saver.sendStart(this.options.machine.blocks, check);
  }

  /**
   * Reads the dirty log: a round is over.
   * @param lastStage Whether the guest is stopped.
   */
  async sync(lastStage: boolean): Promise<void> {
    this.synced(await this.#log?.log.sync() ?? 0);
    const { syncs, pages } = this.options.statistics;
    this.#xbzrle?.synced(syncs, pages, lastStage);
  }

  /** The dirty log is known. @param dirtied How many pages were written since the last time. */
  synced(dirtied: number): void {
    const { machine, statistics, throttle, parameters, emit } = this.options;
    statistics.synced(dirtied);
    throttle.synced(dirtied * machine.ram.pageSize, statistics.transferred, parameters());
    emit({ event: "MIGRATION_PASS", data: { pass: statistics.syncs } });
  }

  /** Ends the dirty log and what sends pages beside the main channel. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([
      this.#channels?.[Symbol.asyncDispose](),
      this.options.machine.stopDirtyLog(),
    ]);
  }
}
