/**
 * Elements of the stream: section headers and footers (wire-format §1.2; QEMU `migration/savevm.c`,
 * `save_section_header`, `check_section_footer`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";

/** The byte an element begins with. */
export const ElementType = {
  EOF: 0x00,
  SECTION_START: 0x01,
  SECTION_PART: 0x02,
  SECTION_END: 0x03,
  SECTION_FULL: 0x04,
  SUBSECTION: 0x05,
  VMDESCRIPTION: 0x06,
  CONFIGURATION: 0x07,
  COMMAND: 0x08,
  SECTION_FOOTER: 0x7e,
} as const;
/** One of the {@linkcode ElementType} numbers. */
export type ElementType = typeof ElementType[keyof typeof ElementType];

/** A section's footer: its type byte and the section's id. */
export const SECTION_FOOTER_SIZE = 5;

/** The header of a START or FULL section, which introduces the section's name. */
export interface FullSectionHeader {
  readonly type: typeof ElementType.SECTION_START | typeof ElementType.SECTION_FULL;
  /** The number that PART, END and the footer refer to; chosen by the sender. */
  readonly sectionId: number;
  /** The handler's name, such as `ram` or `0000:00:02.0/vga`. */
  readonly idstr: string;
  readonly instanceId: number;
  readonly versionId: number;
}

/** Writes the header of a START or FULL section. */
export function writeFullSectionHeader(writer: ByteWriter, header: FullSectionHeader): void {
  writer.u8(header.type).be32(header.sectionId).countedString(header.idstr)
    .be32(header.instanceId).be32(header.versionId);
}

/** Writes the header of a PART or END section. */
export function writeShortSectionHeader(
  writer: ByteWriter,
  type: typeof ElementType.SECTION_PART | typeof ElementType.SECTION_END,
  sectionId: number,
): void {
  writer.u8(type).be32(sectionId);
}

/** Writes a section's footer. */
export function writeSectionFooter(writer: ByteWriter, sectionId: number): void {
  writer.u8(ElementType.SECTION_FOOTER).be32(sectionId);
}

/**
 * Reads what follows the type byte of a START or FULL section.
 * @throws {StreamFormatError} If the name is empty.
 */
export async function readFullSectionHeader(
  reader: ByteReader,
  type: FullSectionHeader["type"],
): Promise<FullSectionHeader> {
  const offset = reader.position - 1;
  const sectionId = await reader.be32("a section's id");
  const idstr = await reader.countedString("a section's name");
  if (idstr === "") throw new StreamFormatError("Section without a name", { place: { offset } });
  const instanceId = await reader.be32("a section's instance");
  const versionId = await reader.be32("a section's version");
  return { type, sectionId, idstr, instanceId, versionId };
}

/**
 * Reads and checks the footer that ends a section.
 * @param section Its name, for the message.
 * @throws {StreamFormatError} If there is no footer here or it belongs to another section.
 */
export async function readSectionFooter(
  reader: ByteReader,
  sectionId: number,
  section: string,
): Promise<void> {
  const offset = reader.position;
  const type = await reader.u8("a section's footer");
  if (type !== ElementType.SECTION_FOOTER) {
    throw new StreamFormatError(
      `Missing section footer: found 0x${type.toString(16).padStart(2, "0")}, not 0x7e`,
      {
        place: { section, offset },
        advice: "The two sides disagree about this section's layout or its subsections.",
      },
    );
  }
  const id = await reader.be32("a section's footer");
  if (id !== sectionId) {
    throw new StreamFormatError(`Section footer with id ${id}, not ${sectionId}`, {
      place: { section, offset },
    });
  }
}
