/**
 * What the worker of an outgoing main channel does: take jobs from its ring, encode pages as records and
 * copy bytes into one half of a buffer while the other half is being written. The buffer is all the
 * memory it has.
 *
 * @module
 */
import { PageIndex, type PageIndexLayout } from "./page_index.ts";
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import { hostPageUnit, type RamBlock } from "../machine/ram_block.ts";
import { standBack } from "../os/scheduling.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { JobKind, JobRing, type JobRingLayout } from "../threads/job_ring.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { FileChannel } from "../transport/file_channel.ts";
import { isPrompt, writePromptly } from "../transport/prompt.ts";
import { noteRecords } from "./note_records.ts";
import { type PostcopyInput, PostcopyParts } from "./postcopy_parts.ts";
import { RECORD_HEADER_MAX } from "./record_encoder.ts";
import { createRunEncoder, type RunEncoder, type RunEncoderOptions } from "./run_encoder.ts";
import { recordsSize } from "./send_buffer.ts";

/** Half the sending buffer, in bytes, at least. One write of this size reaches a socket's full speed. */
const HALF_SIZE = 1024 * 1024;
/** Where the first half begins: the encoder keeps a block's name below. */
const BUFFER_START = 4096;

/** How long a peer without a return path has to end its side, in milliseconds. */
const PEER_END_MS = 10_000;

/** What the loop works with. */
export interface SaveLoopInput {
  readonly ram: GuestRamLayout;
  readonly ring: JobRingLayout;
  /** Shared memory of {@linkcode ChannelCounters}. */
  readonly counters: SharedArrayBuffer;
  readonly encoder: RunEncoderOptions;
  /** Is filled with where in the stream each page's record stands. */
  readonly index?: PageIndexLayout | undefined;
  /** What the job POSTCOPY begins. */
  readonly postcopy?: PostcopyInput | undefined;
}

/** What the worker is started with. */
export interface MainSendStart extends SaveLoopInput {
  /** The connection's writing half. */
  readonly channel: ChannelSpec;
}

/**
 * Runs until the END job was done or the ring was stopped.
 * @param channel The connection; it stays open.
 * @returns Whether everything up to END was written; `false` after a stop.
 */
export async function saveLoop(channel: Channel, input: SaveLoopInput): Promise<boolean> {
  return await new SaveLoop(channel, input).run();
}

/**
 * Ends this side of the connection. If nobody else listens to the other direction, waits for the peer to end
 * its side: it does when it has read everything, and when it has not, the connection breaks instead.
 * @param listens Whether another thread has the reading half.
 * @throws {ConnectionLostError} If the peer did not take everything.
 */
export async function endSending(channel: Channel, listens: boolean): Promise<void> {
  await channel.shutdown();
  if (listens) return;
  const ignored = new Uint8Array(4096);
  const timer = setTimeout(() => channel.close(), PEER_END_MS);
  const deadline = performance.now() + PEER_END_MS;
  try {
    while (await channel.read(ignored) > 0);
  } catch (error) {
    // A peer that keeps its side open has not said that it lacks anything.
    if (performance.now() < deadline) throw error;
  } finally {
    clearTimeout(timer);
  }
}

class SaveLoop {
  readonly #ram: GuestRam;
  readonly #ring: JobRing;
  readonly #counters: ChannelCounters;
  readonly #io: WebAssembly.Memory;
  readonly #buffer: Uint8Array<ArrayBufferLike>;
  readonly #view: DataView<ArrayBufferLike>;
  readonly #index: PageIndex | undefined;
  #encoder: RunEncoder & Partial<Disposable>;
  /** Half the buffer, in bytes. */
  readonly #halfSize: number;
  #half = BUFFER_START;
  #fill = BUFFER_START;
  #writing: Promise<void> | undefined;
  #postcopy: PostcopyParts | undefined;

  constructor(private readonly channel: Channel, private readonly input: SaveLoopInput) {
    this.#ram = new GuestRam(input.ram);
    this.#ring = new JobRing(input.ring);
    this.#counters = new ChannelCounters(input.counters);
    const whole = input.postcopy !== undefined;
    this.#halfSize = Math.max(HALF_SIZE, recordsSize(this.#ram, 0, whole));
    const pages = Math.ceil((BUFFER_START + 2 * this.#halfSize) / 65536);
    this.#io = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#buffer = new Uint8Array(this.#io.buffer);
    this.#view = new DataView(this.#io.buffer);
    this.#index = input.index && new PageIndex(input.index);
    this.#encoder = createRunEncoder(this.#ram, this.#io, input.encoder);
  }

  async run(): Promise<boolean> {
    try {
      return await this.#run();
    } finally {
      this.#encoder[Symbol.dispose]?.();
    }
  }

  async #run(): Promise<boolean> {
    const ring = this.#ring;
    while (!ring.stopped) {
      await this.#serveRequests();
      if (ring.pending === 0) {
        await this.#flush();
        await this.#written();
        const before = performance.now();
        ring.waitForJob(() => this.#postcopy?.isAsked ?? false);
        this.#counters.add("idleMs", performance.now() - before);
        continue;
      }
      switch (ring.kind) {
        case JobKind.BATCH:
          await this.#sendBatch();
          break;
        case JobKind.BYTES:
          await this.#endPart();
          await this.#sendBytes(ring.bytes());
          break;
        case JobKind.SYNC:
          await this.#flush();
          await this.#written();
          break;
        case JobKind.POSTCOPY:
          this.#beginPostcopy();
          break;
        case JobKind.SEEK:
          await this.#flush();
          await this.#written();
          this.#file.seek(ring.position);
          break;
        case JobKind.END:
          await this.#endPart();
          await this.#flush();
          await this.#written();
          ring.pop();
          return true;
      }
      ring.pop();
    }
    return false;
  }

  get #room(): number {
    return this.#half + this.#halfSize - this.#fill;
  }

  async #sendBatch(): Promise<void> {
    const ring = this.#ring;
    const block = this.#ram.blocks[ring.block]!;
    await this.#beginPart();
    for (let run = 0; run < ring.runs; run++) {
      await this.#sendRun(block, ring.runFirst(run), ring.runCount(run));
    }
  }

  /** Sends those pages of a run that are still dirty; in postcopy with requested pages in between. */
  async #sendRun(block: RamBlock, first: number, count: number): Promise<void> {
    const postcopy = this.#postcopy;
    const unit = postcopy ? hostPageUnit(block, this.#ram.pageSize) : 1;
    const end = Math.ceil((first + count) / unit) * unit;
    for (let page = Math.floor(first / unit) * unit; page < end;) {
      const fits = Math.floor((this.#room - RECORD_HEADER_MAX) / this.#encoder.pageBytesMax);
      if (fits < unit) {
        await this.#flush();
        continue;
      }
      const most = postcopy ? Math.max(postcopy.chunk, unit) : fits;
      const pages = Math.min(fits - fits % unit, end - page, most);
      this.#encode(block, page, pages);
      page += pages;
      if (!postcopy) continue;
      if (this.#fill - this.#half >= postcopy.chunk * this.#ram.pageSize) await this.#flush();
      await this.#serveRequests();
    }
  }

  #encode(block: RamBlock, first: number, count: number): void {
    const { normalPages, zeroPages, encodedPages } = this.#encoder;
    const from = this.#fill;
    this.#fill = this.#encoder.encodeRun(block, first, count, from);
    if (this.#index) {
      const offset = this.#counters.get("bytes");
      noteRecords(
        ...[this.#index, block.index, this.#ram.pageSize] as const,
        ...[this.#view, from, this.#fill, offset] as const,
      );
    }
    if (this.#postcopy?.requests.releases) {
      this.#postcopy.release.note(block, this.#encoder.claimed);
    }
    this.#counters.add("bytes", this.#fill - from);
    this.#counters.add("normalPages", this.#encoder.normalPages - normalPages);
    this.#counters.add("zeroPages", this.#encoder.zeroPages - zeroPages);
    this.#counters.add("encodedPages", this.#encoder.encodedPages - encodedPages);
  }

  async #sendBytes(bytes: Uint8Array): Promise<void> {
    // Bytes come between sections: a record after them names its block again.
    this.#encoder.forgetBlock();
    if (bytes.length > this.#room) await this.#flush();
    this.#buffer.set(bytes, this.#fill);
    this.#fill += bytes.length;
    this.#counters.add("bytes", bytes.length);
  }

  // ── postcopy ──────────────────────────────────────────────────────────────────────────────────

  /** From here on all pages are sent by this channel, in parts that it makes, whole host pages at a time. */
  #beginPostcopy(): void {
    const postcopy = this.input.postcopy!;
    if (!postcopy.isUrgent) standBack();
    else if (isPrompt(this.channel)) this.channel.keepQueueShort();
    this.#postcopy = new PostcopyParts(postcopy, this.#ram);
    this.#encoder[Symbol.dispose]?.();
    const { detectZero, pages } = this.input.encoder;
    this.#encoder = createRunEncoder(this.#ram, this.#io, {
      detectZero,
      pages,
      wholeHostPages: true,
    });
  }

  /** Sends what the destination waits for, at once. */
  async #serveRequests(): Promise<void> {
    const postcopy = this.#postcopy;
    if (!postcopy?.isAsked || postcopy.isServing) return;
    postcopy.isServing = true;
    await this.#beginPart();
    for (let asked; (asked = postcopy.requests.take()) !== undefined;) {
      await this.#sendRun(this.#ram.blocks[asked.block]!, asked.first, asked.count);
      if (!postcopy.isAsked) await this.#flush();
    }
    postcopy.isServing = false;
  }

  async #beginPart(): Promise<void> {
    const postcopy = this.#postcopy;
    if (!postcopy || postcopy.isInside) return;
    await this.#sendBytes(postcopy.begin);
    postcopy.isInside = true;
  }

  async #endPart(): Promise<void> {
    const postcopy = this.#postcopy;
    if (!postcopy?.isInside) return;
    postcopy.isInside = false;
    await this.#sendBytes(postcopy.end);
  }

  // ── the connection or file ────────────────────────────────────────────────────────────────────────────

  get #file(): FileChannel {
    if (this.channel instanceof FileChannel) return this.channel;
    throw new RangeError(`${this.channel.peer} has no positions`);
  }

  /** Starts writing the filled half, once the other one is written, and turns to that one. */
  async #flush(): Promise<void> {
    const length = this.#fill - this.#half;
    if (length === 0) return;
    await this.#written();
    this.#postcopy?.release.writing();
    const filled = this.#buffer.subarray(this.#half, this.#fill);
    this.#writing = this.#postcopy
      ? writePromptly(this.channel, filled) ?? Promise.resolve()
      : this.channel.write(filled);
    this.#writing.catch(() => {}); // it is looked at before the next write, and may fail earlier
    this.#counters.add("packets", 1);
    this.#half = this.#half === BUFFER_START ? BUFFER_START + this.#halfSize : BUFFER_START;
    this.#fill = this.#half;
  }

  async #written(): Promise<void> {
    if (!this.#writing) return;
    const before = performance.now();
    const writing = this.#writing;
    this.#writing = undefined;
    await writing;
    this.#postcopy?.release.written();
    this.#counters.add("waitMs", performance.now() - before);
  }
}
