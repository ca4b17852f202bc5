/**
 * Finds out what is where in an image file: from the index that Ferry left in it, or by walking over all
 * of its records.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { targetPageSize } from "../machine/page.ts";
import { loadStream } from "../savevm/load.ts";
import type { FileSpec } from "../transport/channel.ts";
import { FileChannel } from "../transport/file_channel.ts";
import { ByteReader } from "../wire/byte_reader.ts";
import { readVmDescription } from "../wire/vm_description.ts";
import { FileSource } from "./file_source.ts";
import { type ImageBlocks, ImageLoader, noRam, notAllRam } from "./image_loader.ts";
import { type IndexTrailer, readIndexTrailer } from "./index_trailer.ts";
import type { CarriedSection } from "./machine_image.ts";
import { PageIndex, type PageIndexLayout } from "../ram/page_index.ts";
import { RecordWalker } from "./record_walker.ts";

/** What a file has; fit to be posted. */
export interface IndexedImage extends ImageBlocks {
  readonly index: PageIndexLayout;
  readonly sections: readonly CarriedSection[];
  readonly hasSwitchoverStart: boolean;
  readonly description: Uint8Array | undefined;
}

/**
 * Opens an image by its index, which takes no time to speak of.
 * @returns What it has, or `undefined` if it has no index.
 * @throws {StreamFormatError} If the stream is not what its index says.
 */
export async function readIndexed(file: FileSpec): Promise<IndexedImage | undefined> {
  const channel = new FileChannel(file);
  try {
    const trailer = await readIndexTrailer(channel, file.offset);
    if (!trailer) return undefined;
    const source = new FileSource(channel, file.offset, 1 << 16);
    return await read(source, (list) => ({
      index: indexOf(trailer, list),
      takeRecords: () => source.seek(trailer.recordsEnd),
    }));
  } finally {
    channel.close();
  }
}

/** Indexes an image by walking over it, which takes as long as reading it. */
export async function walkImage(file: FileSpec): Promise<IndexedImage> {
  const channel = new FileChannel(file);
  try {
    const source = new FileSource(channel, file.offset);
    return await read(source, ({ configuration, blocks }) => {
      const pageSize = targetPageSize(configuration.targetPageBits);
      const walker = new RecordWalker(source, blocks, pageSize);
      return { index: walker.index, takeRecords: () => walker.walk() };
    });
  } finally {
    channel.close();
  }
}

interface Records {
  readonly index: PageIndex;
  /** Moves the source past the records that come next. */
  takeRecords(): void;
}

async function read(
  source: FileSource,
  recordsOf: (list: ImageBlocks) => Records,
): Promise<IndexedImage> {
  let list: ImageBlocks | undefined;
  let records: Records | undefined;
  const loader = new ImageLoader({
    prepare(announced) {
      list = announced;
      records = recordsOf(announced);
    },
    loadPages: () => Promise.try(() => records!.takeRecords()),
  });
  const reader = new ByteReader(source);
  await loadStream(reader, loader);
  if (!list || !records) throw noRam();
  const { index } = records;
  if (!loader.isRamComplete && !index.hasAllPages) throw notAllRam();
  return {
    ...list,
    index: index.layout,
    sections: loader.sections,
    hasSwitchoverStart: loader.hasSwitchoverStart,
    description: await readVmDescription(reader),
  };
}

function indexOf(trailer: IndexTrailer, { configuration, blocks }: ImageBlocks): PageIndex {
  const pageSize = targetPageSize(configuration.targetPageBits);
  const pageCounts = blocks.map(({ length }) => length / pageSize);
  const pages = pageCounts.reduce((sum, count) => sum + count, 0);
  if (8 * pages !== trailer.table.byteLength) {
    throw new StreamFormatError(`The image's index is of ${trailer.table.byteLength / 8} pages, \
and the image has ${pages}`);
  }
  return new PageIndex({ table: trailer.table, pageCounts });
}
