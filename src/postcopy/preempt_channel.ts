/**
 * The preempt channel as the return path's worker has it: requested pages go over a connection of their
 * own, so that they need not queue behind the others (wire-format §8.8; QEMU `migration/ram.c`,
 * `ram_save_host_page_urgent`). It carries records of pages and nothing else.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import { hostPageUnit, type RamBlock } from "../machine/ram_block.ts";
import { RamFlag } from "../ram/flags.ts";
import { PageRelease } from "../ram/page_release.ts";
import { createRunEncoder, type RunEncoder, type RunEncoderOptions } from "../ram/run_encoder.ts";
import { recordsSize } from "../ram/send_buffer.ts";
import type { ChannelCounters } from "../threads/channel_counters.ts";
import type { Channel } from "../transport/channel.ts";
import { writePromptly } from "../transport/prompt.ts";
import type { RequestQueue } from "../threads/request_queue.ts";

/** How many bytes of pages are written at once. */
const CHUNK = 64 * 1024;
/** Where the sending buffer begins: the encoder keeps a block's name below. */
const BUFFER_START = 4096;

/** The sending side of a preempt channel. */
export class PreemptChannel {
  readonly #buffer: Uint8Array<ArrayBufferLike>;
  readonly #encoder: RunEncoder & Partial<Disposable>;
  readonly #release: PageRelease;

  /**
   * @param channel The connection.
   * @param ram Whose pages are sent.
   * @param requests Is told while pages are claimed and not written.
   * @param counters What was sent.
   * @param encoder How pages are encoded, and where they are.
   */
  constructor(
    private readonly channel: Channel,
    private readonly ram: GuestRam,
    private readonly requests: RequestQueue,
    private readonly counters: ChannelCounters,
    encoder: RunEncoderOptions,
  ) {
    const size = BUFFER_START + recordsSize(ram, CHUNK, true);
    const pages = Math.ceil(size / 65536);
    const io = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#buffer = new Uint8Array(io.buffer);
    this.#encoder = createRunEncoder(ram, io, { ...encoder, wholeHostPages: true });
    this.#release = new PageRelease(ram);
  }

  /**
   * Sends those of some pages that nobody has sent yet.
   * @param first The first page; a host page begins there.
   * @param count How many; whole host pages.
   * @returns `undefined` if that is done: the connection has taken all at once.
   * @throws {ConnectionLostError} If the connection breaks.
   */
  send(block: RamBlock, first: number, count: number): Promise<void> | undefined {
    this.requests.beginClaim();
    return this.#sendUntil(block, first, first + count);
  }

  #sendUntil(block: RamBlock, first: number, end: number): Promise<void> | undefined {
    const chunk = Math.max(CHUNK / this.ram.pageSize, hostPageUnit(block, this.ram.pageSize));
    for (let page = first; page < end; page += chunk) {
      const records = this.#encode(block, page, Math.min(chunk, end - page));
      if (records.length === 0) continue;
      this.#release.writing();
      const writing = writePromptly(this.channel, records);
      if (writing) {
        return writing.then(() => {
          this.#release.written();
          return this.#sendUntil(block, page + chunk, end);
        });
      }
      this.#release.written();
    }
    // Not after a failure: pages that are nowhere must not be taken for sent.
    this.requests.endClaim();
    return undefined;
  }

  /** Claims and encodes pages. @returns Their records, until the next call. */
  #encode(block: RamBlock, first: number, count: number): Uint8Array {
    const { normalPages, zeroPages } = this.#encoder;
    const end = this.#encoder.encodeRun(block, first, count, BUFFER_START);
    if (end > BUFFER_START) {
      if (this.requests.releases) this.#release.note(block, this.#encoder.claimed);
      this.counters.add("bytes", end - BUFFER_START);
      this.counters.add("packets", 1);
      this.counters.add("normalPages", this.#encoder.normalPages - normalPages);
      this.counters.add("zeroPages", this.#encoder.zeroPages - zeroPages);
    }
    return this.#buffer.subarray(BUFFER_START, end);
  }

  /** Writes the record that ends the channel, as QEMUs up to the machine types of 7.2 expect. */
  async sendEnd(): Promise<void> {
    const end = new Uint8Array(8);
    end[7] = RamFlag.EOS;
    await this.channel.write(end);
    this.counters.add("bytes", end.length);
  }

  /** Closes it. */
  close(): void {
    this.channel.close();
    this.#encoder[Symbol.dispose]?.();
  }
}
