/**
 * What the thread of an incoming channel does while it is in reserve (`rehearsal.ts`): it places pages that
 * are missing.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { Presence } from "../machine/presence.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { addressOf } from "../os/host_memory.ts";
import { discard } from "../os/madvise.ts";
import { RamFlag } from "../ram/flags.ts";
import { LoadLoop } from "../ram/load_loop.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { SharedStream } from "../threads/shared_stream.ts";
import type { Channel } from "../transport/channel.ts";
import { isPrompt } from "../transport/prompt.ts";
import { withRehearsalPair } from "../transport/rehearsal_pair.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import { sharedTime } from "./blocktime.ts";
import { MissingRam } from "./missing_ram.ts";
import { openPageDecoder } from "./page_decoder.ts";
import { PAGE, PAGES, rehearsalRam, ROUNDS, TIMES } from "./rehearsal.ts";

/** How many wait for pages, each for one at a time. */
const VCPUS = 2;

/**
 * Sends pages and places them.
 * @param isOver Whether to leave the rest.
 * @returns How many pages came; 0 without FFI.
 */
export async function rehearsePlacing(isOver: () => boolean): Promise<number> {
  const { ram, block } = rehearsalRam();
  const records = recordsOf(block);
  using missing = MissingRam.create(ram, Presence.create(VCPUS));
  const rehearse = async (here: Channel, there: Channel) => {
    if (!isPrompt(there)) return 0;
    const { layout } = SharedStream.create();
    const counters = new ChannelCounters();
    // Requested pages come one by one.
    const input = { stream: layout, counters: counters.buffer, readMax: 8 + PAGE };
    const loop = new LoadLoop(here, input, openPageDecoder);
    // As they are when they come from another thread.
    loop.setRam(structuredClone(ram.layout));
    loop.setPostcopy({
      ...{ missing: structuredClone(missing.layout), sectionId: undefined },
      isUrgent: false,
    });
    loop.takeTurn(0).catch(() => {}); // it ends in the middle
    let ended = false;
    const filling = loop.fill().catch(() => {}).finally(() => ended = true);
    for (let sent = 0; sent < TIMES && !isOver(); sent += PAGES / 2) {
      if (sent % PAGES === 0) forget(block);
      for (let page = sent % PAGES, last = page + PAGES / 2; page < last; page++) {
        block.requested.add(page);
        missing.blocktime.begin(page % VCPUS, block.index, page, sharedTime());
        const begins = sent + page === 0;
        there.writeNow(begins ? beginning(block, records[0]!) : records[page]!, 0);
      }
      const expected = sent % PAGES + PAGES / 2;
      do await setImmediate(); while (block.received.count() < expected && !ended && !isOver());
    }
    loop.stop();
    await filling;
    return counters.get("normalPages") + counters.get("zeroPages");
  };
  let placed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await withRehearsalPair(async (here, there) => {
      placed += await rehearse(here, there);
    });
  }
  return placed;
}

/** A record of each page: one of eight is of zeros. */
function recordsOf(block: RamBlock): readonly Uint8Array[] {
  return Array.from({ length: block.pageCount }, (_, page) => {
    const isZero = page % 8 === 7;
    const flags = RamFlag.CONTINUE | (isZero ? RamFlag.ZERO : RamFlag.PAGE);
    const content = new Uint8Array(isZero ? 1 : PAGE).fill(isZero ? 0 : 1);
    return new ByteWriter(16).be64(page * PAGE + flags).bytes(content).take();
  });
}

/** The record of the first page, which names its block. */
function beginning(block: RamBlock, record: Uint8Array): Uint8Array {
  return new ByteWriter(16).be64(RamFlag.PAGE).countedString(block.name).bytes(record.subarray(8))
    .take();
}

/** Makes all pages missing. */
function forget({ received, requested, pageCount, segments }: RamBlock): void {
  received.fill(0, pageCount, false);
  requested.fill(0, pageCount, false);
  const [{ memory, base, length }] = segments as [RamBlock["segments"][number]];
  const address = addressOf(memory);
  if (address !== undefined) discard(address + base, length);
}
