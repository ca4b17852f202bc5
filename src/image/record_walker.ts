/**
 * Walks over the page records of a stream in a file and notes where each stands: what makes an index of a
 * stream that a QEMU wrote. The last record of a page is the one that counts (wire-format §5.1).
 *
 * @module
 */
import { ConnectionLostError, IncompatibleError, StreamFormatError } from "../errors.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import { RamFlag } from "../ram/flags.ts";
import { decodeText } from "../wire/byte_reader.ts";
import type { FileSource } from "../transport/file_source.ts";
import { PageIndex } from "../ram/page_index.ts";

/** The longest record's header, with its block's name, in bytes. */
const HEADER_MAX = 8 + 256;

/** Walks over one stream's records. */
export class RecordWalker {
  readonly index: PageIndex;
  /** The index of the block of the last record. */
  #block: number | undefined;

  /**
   * @param source The stream.
   * @param blocks The blocks as the stream announced them.
   */
  constructor(
    private readonly source: FileSource,
    private readonly blocks: readonly RamBlockEntry[],
    private readonly pageSize: number,
  ) {
    this.index = PageIndex.create(blocks.map(({ length }) => length / pageSize));
  }

  /**
   * Walks up to the first record that is not of a page.
   * @throws {StreamFormatError} If a record lies outside its block or continues none.
   * @throws {ConnectionLostError} If the file ends inside a record.
   * @throws {IncompatibleError} If a record cannot be served from where it lies.
   */
  walk(): void {
    const { source, pageSize } = this;
    const { view } = source;
    for (;;) {
      if (source.available < HEADER_MAX + pageSize) source.fill(HEADER_MAX + pageSize);
      this.#require(8);
      const low = view.getUint32(source.begin + 4);
      const flags = low % pageSize;
      const kind = flags & ~RamFlag.CONTINUE;
      if (kind !== RamFlag.PAGE && kind !== RamFlag.ZERO) return;
      const pageOffset = view.getUint32(source.begin) * 2 ** 32 + low - flags;
      let size = 8;
      if (!(flags & RamFlag.CONTINUE)) {
        this.#require(9);
        size = 9 + view.getUint8(source.begin + 8);
        this.#require(size);
        this.#block = this.#blockNamed(size);
      }
      const isZero = kind === RamFlag.ZERO;
      const body = isZero ? 1 : pageSize;
      this.#require(size + body);
      this.#note(pageOffset, isZero, size);
      source.consume(size + body);
    }
  }

  #note(pageOffset: number, isZero: boolean, size: number): void {
    const { source } = this;
    const block = this.#block;
    if (block === undefined) throw this.#wrong("Page record that continues no block");
    const { name, length } = this.blocks[block]!;
    if (pageOffset >= length) {
      throw this.#wrong(`Page at 0x${pageOffset.toString(16)} is outside RAM block "${name}"`);
    }
    if (isZero && source.view.getUint8(source.begin + size) !== 0) {
      throw new IncompatibleError(`A page of RAM block "${name}" is given as one repeated byte`, {
        advice: "Such an image has to be loaded into memory.",
      });
    }
    this.index.set(block, pageOffset / this.pageSize, source.position, isZero);
  }

  #blockNamed(size: number): number {
    const bytes = new Uint8Array(size);
    this.source.peek(bytes);
    const name = decodeText(bytes.subarray(9), "a RAM block's name", this.source.position);
    const block = this.blocks.findIndex((each) => each.name === name);
    if (block < 0) throw this.#wrong(`Page of RAM block "${name}", which is not in the list`);
    return block;
  }

  #require(count: number): void {
    if (this.source.available >= count) return;
    throw new ConnectionLostError("The stream ended inside a page", {
      place: { offset: this.source.position },
    });
  }

  #wrong(what: string): StreamFormatError {
    return new StreamFormatError(what, { place: { offset: this.source.position } });
  }
}
