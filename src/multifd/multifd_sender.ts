/**
 * The outgoing multifd channels as the main thread sees them: batches of page numbers go to whichever
 * channel has most room, and a worker each (`multifd/send_loop.ts`) sends them.
 *
 * @module
 */
import type { MigrationError } from "../errors.ts";
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { BatchSink, ChannelSync } from "../ram/save.ts";
import { BATCH_PAGES_MAX, JobKind, type Progress } from "../threads/job_ring.ts";
import { JobThreads } from "../threads/job_threads.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { ChannelSpec } from "../transport/channel.ts";
import type { MultifdDialect } from "./dialect.ts";
import type { MultifdCompression } from "./method.ts";
import type { MultifdSendStart } from "./send_loop.ts";

/** The workers' module. */
export const MULTIFD_SEND = new URL("../../workers/multifd_send.ts", import.meta.url);

/** What the channels are made of. */
export interface MultifdSenderOptions {
  /** The connections, introduced, in the order of their numbers. */
  readonly channels: readonly ChannelSpec[];
  /** Whose pages are sent. */
  readonly ram: GuestRam;
  /** Is bumped by the workers as they get on. */
  readonly progress: Progress;
  readonly dialect: MultifdDialect;
  /** Look for zero pages. Only where the dialect can list them. */
  readonly detectZero: boolean;
  readonly compression: MultifdCompression;
  /** Where the hash log wants the digests of what is sent. */
  readonly digests?: DigestTableLayout;
  /** Where there may be threads already. */
  readonly spares?: SpareWorkers | undefined;
  /** Told of the first failure of a channel or its worker. */
  readonly onFailure: (error: MigrationError) => void;
}

/** The sending side of all multifd channels. */
export class MultifdSender extends JobThreads<MultifdSendStart> implements BatchSink, ChannelSync {
  readonly batchPages = BATCH_PAGES_MAX;
  readonly eachSection: boolean;

  /** Starts the workers and gives them their connections; they take work as they come up. */
  constructor(options: MultifdSenderOptions) {
    const { channels, progress, spares, onFailure, ram, detectZero, compression } = options;
    const packetNumbers = new SharedArrayBuffer(8);
    super({
      ...{ url: MULTIFD_SEND, progress, spares, onFailure },
      names: channels.map((_, index) => `multifd ${index}`),
      startOf: (own, index) => ({
        ...own,
        ...{ ram: ram.layout, packetNumbers, detectZero, compression },
        channel: channels[index]!,
        ...options.digests && { digests: options.digests },
      }),
    });
    this.eachSection = options.dialect.syncEachSection;
  }

  get channelSync(): ChannelSync {
    return this;
  }

  async sync(check: () => void): Promise<void> {
    await this.mark(JobKind.SYNC, check);
  }
}
