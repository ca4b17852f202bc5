/**
 * The receiving side without threads and sockets: the same readers, decoders and targets in one thread, so that
 * thousands of streams can be tried.
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import type { IncomingTarget } from "../../src/control/incoming_target.ts";
import { targetPageSize } from "../../src/machine/page.ts";
import { openPageDecoder } from "../../src/postcopy/page_decoder.ts";
import { LoadLoop } from "../../src/ram/load_loop.ts";
import { RamLoader } from "../../src/ram/load.ts";
import { loadStream, type LoadTarget } from "../../src/savevm/load.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { SharedStream } from "../../src/threads/shared_stream.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import type { Configuration } from "../../src/wire/configuration.ts";
import { readVmDescription } from "../../src/wire/vm_description.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";

const stream = SharedStream.create();

/**
 * Loads a stream.
 * @param target Where it goes.
 * @param pieces The stream, as it arrives.
 * @throws What is wrong with it.
 */
export async function loadInThread(
  target: IncomingTarget,
  pieces: readonly Uint8Array[],
): Promise<void> {
  // One ring for all: making four megabytes for each would be what takes the time.
  new Int32Array(stream.layout.control).fill(0);
  stream.takeTurn(0);
  const loop = new LoadLoop(
    new MemoryChannel(pieces),
    { stream: stream.layout, counters: new ChannelCounters().buffer },
    openPageDecoder,
  );
  const reader = new ByteReader(stream);
  let configuration: Configuration | undefined;
  const loading: LoadTarget = {
    configuration: (received) => target.configuration(configuration = received),
    section: (header) => {
      if (header.idstr !== "ram") return target.section(header);
      if (header.versionId !== 4) throw new IncompatibleError("Another version of RAM");
      return new RamLoader({
        dialect: { pageSize: targetPageSize(configuration!.targetPageBits) },
        prepare: async (blocks) => {
          loop.setRam((await target.prepareRam(blocks, header.sectionId)).layout);
        },
        loadPages: async () => {
          const from = stream.position;
          const position = await loop.takeTurn(from);
          stream.takeTurn(position);
          if (position === from) throw new StreamFormatError("The stream ended inside a page");
        },
        flush: () => Promise.resolve(),
      });
    },
    command: () => Promise.resolve("continue"),
  };
  // Waiting for another thread keeps no event loop alive; here there is no other thread.
  const timer = setInterval(() => {}, 1000);
  const filling = loop.fill().catch(() => {});
  try {
    await loadStream(reader, loading);
    const description = readVmDescription(reader).catch(() => undefined);
    await target.complete(description, () => {});
  } finally {
    clearInterval(timer);
    loop.stop();
    await filling;
  }
}
