/**
 * The head of a page record (wire-format §5.1; QEMU `migration/ram.c`, `ram_block_from_stream`): which
 * page of which block it is of, and whether it is one that may be placed.
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import type { ByteSource } from "../wire/byte_source.ts";
import { decodeText } from "../wire/byte_reader.ts";
import { RamFlag, XBZRLE_ENCODING, XBZRLE_HEADER } from "./flags.ts";

/** What is placed; `ram/load.ts` hands these to the channel's worker. */
export const PAGE_KINDS: readonly number[] = [RamFlag.PAGE, RamFlag.ZERO, RamFlag.XBZRLE];

/** Why decoding stopped. */
export type DecoderPause =
  /** The next record is not complete yet. */
  | "more"
  /** The next record is not a page's; it has not been consumed. */
  | "other";

/** Looks at the heads of one channel's records; remembers which block the last record named. */
export class RecordHead {
  readonly #bytes = new Uint8Array(9 + 255);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #here = this.#bytes.subarray(0, 8);
  #previous: RamBlock | undefined;
  #block: RamBlock | undefined;
  /** `RamFlag.PAGE`, `ZERO` or `XBZRLE`. */
  kind = 0;
  /** Of the page, in the block, in bytes. */
  offset = 0;
  /** Bytes before the record's body. */
  size = 0;
  /** Bytes of the record's body. */
  bodySize = 0;

  /**
   * @param ram Where the pages go.
   * @param stream Where the records are; it must be this thread's turn.
   */
  constructor(private readonly ram: GuestRam, private readonly stream: ByteSource) {}

  /** The block that a record that says CONTINUE is of, if there can be one. */
  get previous(): RamBlock | undefined {
    return this.#previous;
  }

  /** The block of the page. */
  get block(): RamBlock {
    return this.#block!;
  }

  /**
   * Looks at the next record; a page's is complete with its body.
   * @returns `undefined` if it is one, and the other members say of which page.
   * @throws {StreamFormatError} If the record lies outside its block or continues none.
   * @throws {IncompatibleError} If it names a block this machine does not have.
   */
  look(): DecoderPause | undefined {
    const { stream } = this;
    const { pageSize } = this.ram;
    const available = stream.available;
    if (available < 8) return "more";
    stream.peek(this.#here);
    const low = this.#view.getUint32(4);
    const flags = low & (pageSize - 1);
    this.kind = flags & ~RamFlag.CONTINUE;
    if (!PAGE_KINDS.includes(this.kind)) return "other";

    this.size = 8;
    this.#block = this.#previous;
    if (!(flags & RamFlag.CONTINUE)) {
      if (available < 9) return "more";
      stream.peek(this.#bytes.subarray(0, 9));
      this.size = 9 + this.#bytes[8]!;
      if (available < this.size) return "more";
      stream.peek(this.#bytes.subarray(0, this.size));
      this.#block = this.#blockNamed(this.#bytes.subarray(9, this.size));
    }
    if (!this.#block) {
      throw new StreamFormatError("Page record that continues no block", this.#place());
    }
    this.offset = this.#view.getUint32(0) * 2 ** 32 + (low - flags);
    if (this.offset >= this.#block.length) {
      throw new StreamFormatError(
        `Page at 0x${this.offset.toString(16)} is outside RAM block "${this.#block.name}" of ` +
          `0x${this.#block.length.toString(16)} bytes`,
        this.#place(),
      );
    }
    this.bodySize = this.kind === RamFlag.PAGE ? pageSize : 1;
    if (this.kind === RamFlag.XBZRLE) {
      if (available < this.size + XBZRLE_HEADER) return "more";
      this.bodySize = XBZRLE_HEADER + this.#differencesLength();
    }
    return available < this.size + this.bodySize ? "more" : undefined;
  }

  /** How many bytes of differences follow in an XBZRLE record. */
  #differencesLength(): number {
    this.stream.peek(this.#bytes.subarray(0, XBZRLE_HEADER), this.size);
    const encoding = this.#bytes[0]!;
    if (encoding !== XBZRLE_ENCODING) {
      throw new StreamFormatError(
        `XBZRLE record with encoding ${encoding}: only ${XBZRLE_ENCODING} is known`,
        this.#place(),
      );
    }
    const length = this.#view.getUint16(1);
    if (length > this.ram.pageSize) {
      throw new StreamFormatError(
        `XBZRLE record of ${length} bytes: at most a page's ${this.ram.pageSize} are possible`,
        this.#place(),
      );
    }
    return length;
  }

  /** Moves on to the next record. */
  consume(): void {
    this.stream.consume(this.size + this.bodySize);
    this.#previous = this.#block;
  }

  #blockNamed(bytes: Uint8Array): RamBlock {
    const name = decodeText(bytes, "A RAM block's name", this.stream.position);
    const block = this.ram.block(name);
    if (!block) {
      throw new IncompatibleError(`Page of RAM block "${name}", which this machine does not have`, {
        ...this.#place(),
        advice: "Start the destination with the machine and devices of the source.",
      });
    }
    return block;
  }

  #place(): { place: { offset: number } } {
    return { place: { offset: this.stream.position } };
  }
}
