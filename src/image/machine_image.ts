/**
 * A machine that is not running: its RAM, and device state that is carried byte for byte. What a stock
 * QEMU sent us, and what a stock QEMU gets.
 *
 * @module
 */
import { markUntouched } from "../dirty/untouched.ts";
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import { type PageFile, PageIndex } from "../ram/page_index.ts";
import { targetPageSize } from "../machine/page.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import { describedSizes } from "../savevm/vm_description_sizes.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import { type Configuration, withCapability } from "../wire/configuration.ts";
import {
  ElementType,
  type FullSectionHeader,
  writeFullSectionHeader,
  writeSectionFooter,
} from "../wire/section.ts";

/** A description that says nothing: a destination that waits for one must get one. */
const EMPTY_DESCRIPTION = new TextEncoder().encode("{}");

/** A section that was sent once, byte for byte. */
export interface CarriedSection {
  readonly header: FullSectionHeader;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** A machine at rest. */
export class MachineImage {
  /** The stream's configuration section, apart from what only says how the pages came. */
  readonly configuration: Configuration;
  /** The sections that were sent once, in the stream's order. */
  readonly sections: CarriedSection[] = [];
  /** The JSON description's text; empty if the stream had none. */
  description: Uint8Array = new Uint8Array(0);
  /** Whether the stream said SWITCHOVER_START. */
  hasSwitchoverStart = false;

  /**
   * @param configuration The stream's configuration section.
   * @param blocks The blocks as the stream announced them.
   * @param ramSectionId The id of the stream's `ram` section.
   * @param ram The blocks' content; `received` says which pages the stream had.
   * @param pages Where the pages are, if they are not in `ram`.
   */
  private constructor(
    configuration: Configuration,
    readonly blocks: readonly RamBlockEntry[],
    readonly ramSectionId: number,
    readonly ram: GuestRam,
    readonly pages?: PageFile,
  ) {
    this.configuration = withCapability(configuration, "mapped-ram", false);
  }

  /**
   * Makes an image with empty RAM.
   * @throws {IncompatibleError} If this host has no room for that much.
   */
  static create(
    configuration: Configuration,
    blocks: readonly RamBlockEntry[],
    ramSectionId: number,
  ): MachineImage {
    const pageSize = targetPageSize(configuration.targetPageBits);
    try {
      const ram = GuestRam.create(blocks, { pageSize, packed: true });
      return new MachineImage(configuration, blocks, ramSectionId, ram);
    } catch (cause) {
      const total = blocks.reduce((sum, block) => sum + block.length, 0);
      throw new IncompatibleError(`There is no room for ${total} bytes of RAM`, { cause });
    }
  }

  /**
   * Makes an image whose pages are read from a file when they are needed.
   * @param pages Where they are.
   */
  static ofFile(
    configuration: Configuration,
    blocks: readonly RamBlockEntry[],
    ramSectionId: number,
    pages: PageFile,
  ): MachineImage {
    const pageSize = targetPageSize(configuration.targetPageBits);
    const ram = GuestRam.create(blocks, { pageSize, bitmapsOnly: true });
    const index = new PageIndex(pages.index);
    for (const { received, pageCount, index: block } of ram.blocks) {
      for (let page = 0; page < pageCount; page++) if (index.has(block, page)) received.add(page);
    }
    return new MachineImage(configuration, blocks, ramSectionId, ram, pages);
  }

  /**
   * Takes the description and checks the sections against it: they were cut at their footers, and bytes
   * that look like a footer may have misled us. Where sizes differ, the description is right.
   * @throws {StreamFormatError} If the sections fit neither way.
   */
  finish(description: Uint8Array | undefined): void {
    if (!description) return;
    this.description = description;
    const sizes = describedSizes(description);
    if (!sizes || this.#matches(sizes.map(({ size }) => size))) return;
    const bytes = new ByteWriter();
    for (const section of this.sections) writeCarriedSection(bytes, section);
    const recut = cutBySizes(bytes.take(), sizes.map(({ size }) => size));
    if (!recut) {
      throw new StreamFormatError("Device state does not fit the description at the stream's end", {
        advice: "The stream is damaged.",
      });
    }
    this.sections.splice(0, Infinity, ...recut);
  }

  /** Whether every page is there. */
  get hasAllPages(): boolean {
    return this.ram.blocks.every(({ received, pageCount }) => received.count() === pageCount);
  }

  /**
   * Sets the dirty bits of the pages that the stream had. What was not received stays unsent: QEMU leaves
   * pages out that the destination has by itself.
   */
  markDirty(): void {
    if (!this.pages) markUntouched(this.ram);
    for (const block of this.ram.blocks) block.dirty.merge(block.received);
  }

  /**
   * Appends the sections as they came.
   * @returns The JSON description for the stream's end.
   */
  writeSections(writer: ByteWriter): Uint8Array {
    for (const section of this.sections) writeCarriedSection(writer, section);
    return this.description.length > 0 ? this.description : EMPTY_DESCRIPTION;
  }

  #matches(sizes: readonly number[]): boolean {
    return sizes.length === this.sections.length &&
      sizes.every((size, i) => this.sections[i]!.payload.length === size);
  }
}

/** Writes a section as it came. */
export function writeCarriedSection(writer: ByteWriter, section: CarriedSection): void {
  writeFullSectionHeader(writer, section.header);
  writer.bytes(section.payload);
  writeSectionFooter(writer, section.header.sectionId);
}

/** Cuts consecutive sections at known payload sizes; `undefined` if that does not work out. */
function cutBySizes(
  bytes: Uint8Array<ArrayBuffer>,
  sizes: readonly number[],
): CarriedSection[] | undefined {
  const view = new DataView(bytes.buffer);
  const sections: CarriedSection[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at + 6 > bytes.length) return undefined;
    const nameEnd = at + 6 + view.getUint8(at + 5);
    const end = nameEnd + 8 + size;
    if (end + 5 > bytes.length || view.getUint8(at) !== ElementType.SECTION_FULL) return undefined;
    const sectionId = view.getUint32(at + 1);
    if (view.getUint8(end) !== ElementType.SECTION_FOOTER) return undefined;
    if (view.getUint32(end + 1) !== sectionId) return undefined;
    sections.push({
      header: {
        type: ElementType.SECTION_FULL,
        sectionId,
        idstr: new TextDecoder().decode(bytes.subarray(at + 6, nameEnd)),
        instanceId: view.getUint32(nameEnd),
        versionId: view.getUint32(nameEnd + 4),
      },
      payload: bytes.slice(nameEnd + 8, end),
    });
    at = end + 5;
  }
  return at === bytes.length ? sections : undefined;
}
