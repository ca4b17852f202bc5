/**
 * The commands by which a source leads into postcopy and out of a pause (wire-format §8; QEMU
 * `migration/savevm.c`, `qemu_savevm_send_postcopy_*`, and `migration/ram.c`,
 * `ram_postcopy_send_discard_bitmap`).
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { HOST_PAGE_MAX } from "../ram/send_buffer.ts";
import { hostPageUnit, type RamBlock } from "../machine/ram_block.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import { Command, writeCommand, writePing } from "../wire/command.ts";

/** Numbers in the PINGs of a switch to postcopy. */
export const PostcopyPing = {
  /** After the last DISCARD. */
  DISCARDED: 2,
  /** In the package: the devices are loaded. */
  LOADED: 3,
  /** After the package: the thread that goes on loading RAM is there. */
  LISTENING: 4,
  /** In the package, right before RUN: with its PONG the machine is the destination's. */
  RUNS: 0x42,
} as const;

/** How many ranges a DISCARD has at most. */
const RANGES_MAX = 12;

/**
 * Writes ADVISE: there may be postcopy, with pages of these sizes.
 * @throws {SettingError} If the machine has pages that are larger than can be sent as one.
 */
export function writeAdvise(writer: ByteWriter, ram: GuestRam): void {
  let sizes = 0;
  for (const { name, hostPageSize } of ram.blocks) {
    if (hostPageSize > HOST_PAGE_MAX) {
      throw new SettingError(
        `RAM block "${name}" has pages of ${hostPageSize} bytes: postcopy takes ${HOST_PAGE_MAX} at most`,
        { advice: "Turn the capability postcopy-ram off." },
      );
    }
    sizes |= hostPageSize;
  }
  const payload = new ByteWriter(16).be64(sizes || ram.pageSize).be64(ram.pageSize);
  writeCommand(writer, Command.POSTCOPY_ADVISE, payload.take());
}

/**
 * Writes DISCARD for everything that is dirty, in whole pages of the host's, which makes those dirty as a
 * whole. A destination has to hear of each block before LISTEN, or it waits for itself for ever; so a
 * block that has nothing dirty gets one page.
 * @param flush Is called now and then, to send what was written.
 */
export async function writeDiscards(
  writer: ByteWriter,
  ram: GuestRam,
  flush: () => Promise<void>,
): Promise<void> {
  for (const block of ram.blocks) {
    if (block.pageCount === 0) continue;
    const unit = hostPageUnit(block, ram.pageSize);
    if (block.dirty.next(0) === block.pageCount) block.dirty.add(0);
    roundUp(block, unit);
    let ranges = discardOf(block);
    let count = 0;
    for (let first = block.dirty.next(0); first < block.pageCount;) {
      const end = block.dirty.next(first, false);
      ranges.be64(first * ram.pageSize).be64((end - first) * ram.pageSize);
      first = block.dirty.next(end);
      if (++count < RANGES_MAX && first < block.pageCount) continue;
      writeCommand(writer, Command.POSTCOPY_RAM_DISCARD, ranges.take());
      await flush();
      ranges = discardOf(block);
      count = 0;
    }
  }
}

function discardOf(block: RamBlock): ByteWriter {
  return new ByteWriter(256).u8(0).countedString(block.name).u8(0);
}

/** Makes pages of the host's dirty as a whole. */
function roundUp(block: RamBlock, unit: number): void {
  if (unit === 1) return;
  for (let page = block.dirty.next(0); page < block.pageCount;) {
    const first = page - page % unit;
    block.dirty.fill(first, unit, true);
    page = block.dirty.next(first + unit);
  }
}

/**
 * Writes the package with which the destination loads the devices while it listens for pages, and runs.
 * @param saveDevices Writes all sections that are sent once.
 */
export function writePackage(writer: ByteWriter, saveDevices: (writer: ByteWriter) => void): void {
  const content = new ByteWriter(64 * 1024);
  writeCommand(content, Command.POSTCOPY_LISTEN);
  saveDevices(content);
  writePing(content, PostcopyPing.LOADED);
  writePing(content, PostcopyPing.RUNS);
  writeCommand(content, Command.POSTCOPY_RUN);
  writeCommand(writer, Command.PACKAGED, new ByteWriter(4).be32(content.length).take());
  writer.bytes(content.take());
}

/** Asks what of a block the destination has. */
export function writeReceivedQuestion(writer: ByteWriter, block: RamBlock): void {
  const payload = new ByteWriter(256).countedString(block.name);
  writeCommand(writer, Command.RECV_BITMAP, payload.take());
}
