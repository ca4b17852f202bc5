/**
 * How the worker of an outgoing main channel encloses pages in postcopy: in parts of the `ram` section that
 * it begins when there is a page to send and ends before anything else, so that a requested page can go
 * out at any time.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import { RequestQueue, type RequestQueueLayout } from "../threads/request_queue.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import { ElementType, writeSectionFooter, writeShortSectionHeader } from "../wire/section.ts";
import { RamFlag } from "./flags.ts";
import { PageRelease } from "./page_release.ts";

/** How many pages are sent in one go: nobody waits for what is behind them. */
const CHUNK = 64;
/** And if a requested page may be behind them, besides what is being written. */
const URGENT_CHUNK = 32;

/** How a main channel goes on in postcopy. */
export interface PostcopyInput {
  /** Pages that the destination waits for. */
  readonly requests: RequestQueueLayout;
  /** How the stream's elements refer to the `ram` section. */
  readonly sectionId: number;
  /** Whether requested pages go over this channel: then nothing is to queue before them. */
  readonly isUrgent: boolean;
}

/** The parts of the `ram` section that the channel makes by itself in postcopy. */
export class PostcopyParts {
  readonly requests: RequestQueue;
  /** How many pages are sent in one go, unless a page of the host has more. */
  readonly chunk: number;
  /** The pages whose memory is given back. */
  readonly release: PageRelease;
  /** What begins a part. */
  readonly begin: Uint8Array;
  /** What ends it. */
  readonly end: Uint8Array;
  /** Whether a part has begun and not ended. */
  isInside = false;
  /** Whether requested pages are being sent. */
  isServing = false;

  /** @param ram Whose pages are sent. */
  constructor({ requests, sectionId, isUrgent }: PostcopyInput, ram: GuestRam) {
    this.chunk = isUrgent ? URGENT_CHUNK : CHUNK;
    this.release = new PageRelease(ram);
    this.requests = new RequestQueue(requests);
    const writer = new ByteWriter(32);
    writeShortSectionHeader(writer, ElementType.SECTION_PART, sectionId);
    this.begin = writer.take();
    writeSectionFooter(writer.be64(RamFlag.EOS), sectionId);
    this.end = writer.take();
  }

  /** Whether requested pages wait. */
  get isAsked(): boolean {
    return this.requests.pending > 0;
  }
}
