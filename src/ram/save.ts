/**
 * Saves the `ram` section (wire-format §5; QEMU `migration/ram.c`, `ram_save_setup`, `ram_save_iterate`,
 * `ram_save_complete`): finds what is dirty and hands it to the workers that send it.
 *
 * @module
 */
import { PageScan } from "../batch/page_scan.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { OutgoingStream } from "./outgoing_stream.ts";
import type { JobRing } from "../threads/job_ring.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import {
  ElementType,
  writeFullSectionHeader,
  writeSectionFooter,
  writeShortSectionHeader,
} from "../wire/section.ts";
import { type RamBlockEntry, writeBlockList } from "./block_list.ts";
import { RAM_SECTION, RamFlag } from "./flags.ts";
import type { ZeroPass } from "./zero_pass.ts";

/** A part of the section is ended after this long, so that commands can pass; in milliseconds. */
const PART_MS = 50;

/** Where batches go: the main channel, or the multifd channels. */
export interface BatchSink {
  /**
   * Waits for a ring with room.
   * @param check Throws when waiting has no point any more.
   */
  ringWithRoom(check: () => void): Promise<JobRing>;
  /** How many pages to hand over at once. */
  readonly batchPages: number;
  /** Batches that were handed over and are not yet sent. */
  readonly pending: number;
  /** Waits until there are none. */
  drained(check: () => void): Promise<void>;
  /** Set if batches do not go over the main channel. */
  readonly channelSync?: ChannelSync;
  /** Set if each page has its place in a file. */
  readonly fixedPlaces?: FixedPlaces;
}

/** Pages that are not in the stream but beside it, in the file that has both (wire-format §7). */
export interface FixedPlaces {
  /** Sends the list of blocks, which says where each has its pages, and leaves room for them. */
  sendBlockList(
    stream: OutgoingStream,
    blocks: readonly RamBlockEntry[],
    check: () => void,
  ): Promise<void>;
  /** Says which pages are there, when all are written. */
  sendBitmaps(stream: OutgoingStream, check: () => void): Promise<void>;
}

/** How the channels of a multifd migration are brought to the same point (wire-format §6.6). */
export interface ChannelSync {
  /** At the end of every section, silently; otherwise at the end of a round, with a record that says so. */
  readonly eachSection: boolean;
  /** Makes every channel send a SYNC behind what was handed to it. */
  sync(check: () => void): Promise<void>;
}

/** What limits one part. */
export interface PartLimits {
  /** How many bytes may still be sent now; none at 0 and below, any number at `Infinity`. */
  allowance(): number;
  /** How many more it may be where pages take more than the last ones did. @default {0} */
  tolerance?(): number;
  /** How many bytes were sent so far; without it, a page is taken for a whole one. */
  sent?(): number;
  /** Throws when going on has no point any more. */
  check(): void;
}

/** How a part ended. */
export type PartEnd =
  /** Every page that was dirty has been handed over. */
  | "round"
  /** The allowance is used up. */
  | "limit"
  /** It was long enough. */
  | "time";

/**
 * Writes the START: the list of blocks.
 * @param flushes Whether the channels of multifd are synchronised then, and it says so.
 */
export function writeRamStart(
  writer: ByteWriter,
  sectionId: number,
  blocks: readonly RamBlockEntry[],
  flushes: boolean,
): void {
  writeStartHeader(writer, sectionId);
  writeBlockList(writer, blocks);
  writeEnd(writer, sectionId, flushes);
}

function writeStartHeader(writer: ByteWriter, sectionId: number): void {
  writeFullSectionHeader(writer, { type: ElementType.SECTION_START, sectionId, ...RAM_SECTION });
}

function writeEnd(writer: ByteWriter, sectionId: number, flushes: boolean): void {
  if (flushes) writer.be64(RamFlag.MULTIFD_FLUSH);
  writer.be64(RamFlag.EOS);
  writeSectionFooter(writer, sectionId);
}

/** The saver of one migration's `ram` section. */
export class RamSaver {
  readonly #scan: PageScan;
  /** What a page took lately, in bytes. */
  #pageBytes: number;
  /** Pages that were handed over since it was known how many bytes were sent, and how many those were. */
  #flying = 0;
  #sentBefore = 0;

  /**
   * @param ram Whose pages are sent.
   * @param stream The main channel.
   * @param sink Where batches of pages go.
   * @param sectionId How the stream's elements refer to the section.
   * @param zeroPass Sends zero pages ahead, where the sink cannot.
   */
  constructor(
    private readonly ram: GuestRam,
    private readonly stream: OutgoingStream,
    private readonly sink: BatchSink,
    private readonly sectionId: number,
    private readonly zeroPass?: ZeroPass,
  ) {
    this.#scan = new PageScan(ram);
    this.#pageBytes = ram.pageSize;
  }

  /** How many bytes are dirty. */
  get remaining(): number {
    return this.ram.blocks.reduce((sum, block) => sum + block.dirty.count(), 0) * this.ram.pageSize;
  }

  /** Waits until all that was handed over is sent. */
  async drained(check: () => void): Promise<void> {
    await this.sink.drained(check);
  }

  /** Sends the START: the list of blocks. */
  async sendStart(blocks: readonly RamBlockEntry[], check: () => void): Promise<void> {
    const { channelSync, fixedPlaces } = this.sink;
    const { writer } = this.stream;
    const flushes = channelSync !== undefined && !channelSync.eachSection;
    if (fixedPlaces) {
      writeStartHeader(writer, this.sectionId);
      await fixedPlaces.sendBlockList(this.stream, blocks, check);
      writeEnd(writer, this.sectionId, flushes);
    } else writeRamStart(writer, this.sectionId, blocks, flushes);
    await this.stream.flush(check);
    await this.startSent(check);
  }

  /** The START has been sent already: the channels are to be where it says. */
  async startSent(check: () => void): Promise<void> {
    await this.sink.channelSync?.sync(check);
  }

  /** Sends one PART with what is dirty, in the scan's order. */
  async sendPart(limits: PartLimits): Promise<PartEnd> {
    writeShortSectionHeader(this.stream.writer, ElementType.SECTION_PART, this.sectionId);
    await this.stream.flush(limits.check);
    const deadline = performance.now() + PART_MS;
    const end = await this.#handOver(limits, () => performance.now() >= deadline);
    await this.#endElement(end === "round", limits.check);
    return end;
  }

  /** Sends an empty PART that brings all channels to the same point. */
  async sendSync(check: () => void): Promise<void> {
    writeShortSectionHeader(this.stream.writer, ElementType.SECTION_PART, this.sectionId);
    await this.sink.drained(check);
    await this.#endElement(true, check);
  }

  /** Sends the END with all that is dirty; the machine must be stopped and the dirty log synced. */
  async sendEnd(check: () => void): Promise<void> {
    writeShortSectionHeader(this.stream.writer, ElementType.SECTION_END, this.sectionId);
    await this.stream.flush(check);
    this.#restart();
    await this.#handOver({ allowance: () => Infinity, check }, () => false);
    await this.sink.drained(check);
    await this.sink.fixedPlaces?.sendBitmaps(this.stream, check);
    await this.#endElement(true, check);
  }

  /** Hands batches over until nothing is dirty, the limit is reached or the time is up. */
  async #handOver(limits: PartLimits, timeIsUp: () => boolean): Promise<PartEnd> {
    for (;;) {
      await this.zeroPass?.advance(this.#scan, limits.check);
      const ring = await this.sink.ringWithRoom(limits.check);
      const pages = await this.#affordable(limits);
      if (pages === 0) return "limit";
      const pushed = this.#scan.pushBatch(ring, pages);
      if (pushed === 0) {
        this.#restart();
        return "round";
      }
      this.#flying += pushed;
      if (timeIsUp()) return "time";
    }
  }

  /**
   * How many pages to hand over next. What is on its way is not counted yet, so there is no more of it than
   * the limit allows, going by what pages took lately: as zeros or differences they take next to nothing.
   * @returns 0 if the limit is reached.
   */
  async #affordable(limits: PartLimits): Promise<number> {
    const { batchPages } = this.sink;
    const allowance = limits.allowance();
    if (allowance === Infinity) return batchPages;
    let pages = this.#fitting(allowance, limits);
    if (pages < batchPages) {
      await this.sink.drained(limits.check);
      this.#measure(limits);
      const left = limits.allowance();
      if (left <= 0) return 0;
      pages = Math.max(1, this.#fitting(left, limits));
    }
    return Math.min(batchPages, pages);
  }

  /** How many pages fit besides those on their way, which may be less than none. */
  #fitting(left: number, limits: PartLimits): number {
    const most = (left + (limits.tolerance?.() ?? 0)) / this.ram.pageSize;
    return Math.floor(Math.min(left / this.#pageBytes, most)) - this.#flying;
  }

  /** Looks at what pages took; nothing is on its way. */
  #measure(limits: PartLimits): void {
    const sent = limits.sent?.();
    if (sent === undefined) this.#pageBytes = this.ram.pageSize;
    else if (this.#flying > 0) {
      this.#pageBytes = Math.max(1, (sent - this.#sentBefore) / this.#flying);
    }
    this.#sentBefore = sent ?? 0;
    this.#flying = 0;
  }

  #restart(): void {
    this.#scan.restart();
    this.zeroPass?.restart();
  }

  async #endElement(roundEnds: boolean, check: () => void): Promise<void> {
    const { channelSync } = this.sink;
    const syncs = channelSync !== undefined && (channelSync.eachSection || roundEnds);
    if (syncs) await channelSync.sync(check);
    writeEnd(this.stream.writer, this.sectionId, syncs && !channelSync.eachSection);
    await this.stream.flush(check);
  }
}
