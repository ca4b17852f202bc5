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
import { FileSource } from "../transport/file_source.ts";
import {
  type ImageBlocks,
  ImageLoader,
  noRam,
  notAllRam,
  type PageKeeper,
} from "./image_loader.ts";
import { type IndexTrailer, readIndexTrailer } from "./index_trailer.ts";
import type { CarriedSection } from "./machine_image.ts";
import { beginsMappedRam } from "./mapped_image.ts";
import { MappedReader } from "../mapped_ram/mapped_reader.ts";
import { type PageFile, PageIndex, type PageIndexLayout } from "../ram/page_index.ts";
import { RecordWalker } from "./record_walker.ts";

/** What a file has; fit to be posted. */
export interface IndexedImage extends ImageBlocks, Pick<PageFile, "as"> {
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
    return await read(new ByteReader(source), (list) => ({
      as: "records",
      index: indexOf(trailer, list),
      takeRecords: () => source.seek(trailer.recordsEnd),
    }));
  } finally {
    channel.close();
  }
}

/**
 * Indexes an image by walking over it, which takes as long as reading it; of a mapped-ram file only the
 * bitmaps are looked at.
 */
export async function walkImage(file: FileSpec): Promise<IndexedImage> {
  if (await beginsMappedRam(file)) return await indexMappedRam(file);
  const channel = new FileChannel(file);
  try {
    const source = new FileSource(channel, file.offset);
    return await read(new ByteReader(source), (list) => {
      const walker = new RecordWalker(source, list.blocks, pageSizeOf(list));
      return { as: "records", index: walker.index, takeRecords: () => walker.walk() };
    });
  } finally {
    channel.close();
  }
}

/** What is not in the file is zeros. */
async function indexMappedRam(file: FileSpec): Promise<IndexedImage> {
  using mapped = new MappedReader(file);
  const { reader } = mapped;
  return await read(reader, async (list) => {
    const pageSize = pageSizeOf(list);
    const pageCounts = list.blocks.map(({ length }) => length / pageSize);
    const pages = await mapped.readBitmaps(list.blocks, pageSize);
    const index = PageIndex.create(pageCounts);
    for (const [block, count] of pageCounts.entries()) {
      const bitmap = pages.bitmap(block);
      for (let page = 0; page < count; page++) {
        const isThere = bitmap.has(page);
        const offset = isThere ? pages.offset(block, page, pageSize) - file.offset : 0;
        index.set(block, page, offset, !isThere);
      }
    }
    return { as: "pages", index, takeRecords: () => mapped.refuseRecord() };
  }, (entry, pageSize) => mapped.readPlace(entry, pageSize));
}

interface Records extends Pick<PageFile, "as"> {
  readonly index: PageIndex;
  /** Moves the source past the records that come next. */
  takeRecords(): void | Promise<void>;
}

async function read(
  reader: ByteReader,
  recordsOf: (list: ImageBlocks) => Records | Promise<Records>,
  readPlace?: PageKeeper["readPlace"],
): Promise<IndexedImage> {
  let list: ImageBlocks | undefined;
  let records: Records | undefined;
  const loader = new ImageLoader({
    ...readPlace && { readPlace },
    async prepare(announced) {
      list = announced;
      records = await recordsOf(announced);
    },
    loadPages: async () => await records!.takeRecords(),
  });
  await loadStream(reader, loader);
  if (!list || !records) throw noRam();
  const { index, as } = records;
  if (!loader.isRamComplete && !(as === "records" && index.hasAllPages)) throw notAllRam();
  return {
    ...list,
    as,
    index: index.layout,
    sections: loader.sections,
    hasSwitchoverStart: loader.hasSwitchoverStart,
    description: await readVmDescription(reader),
  };
}

function pageSizeOf({ configuration }: ImageBlocks): number {
  return targetPageSize(configuration.targetPageBits);
}

function indexOf(trailer: IndexTrailer, list: ImageBlocks): PageIndex {
  const pageSize = pageSizeOf(list);
  const pageCounts = list.blocks.map(({ length }) => length / pageSize);
  const pages = pageCounts.reduce((sum, count) => sum + count, 0);
  if (8 * pages !== trailer.table.byteLength) {
    throw new StreamFormatError(`The image's index is of ${trailer.table.byteLength / 8} pages, \
and the image has ${pages}`);
  }
  return new PageIndex({ table: trailer.table, pageCounts });
}
