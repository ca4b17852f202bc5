/**
 * The loop over an incoming stream's elements (wire-format §1; QEMU `migration/savevm.c`,
 * `qemu_loadvm_state_main`). What an element means to this machine is the target's to say.
 *
 * @module
 */
import { asMigrationError, StreamFormatError } from "../errors.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { describeCommand, readCommand, type ReceivedCommand } from "../wire/command.ts";
import { type Configuration, readConfiguration } from "../wire/configuration.ts";
import {
  ElementType,
  type FullSectionHeader,
  readFullSectionHeader,
  readSectionFooter,
} from "../wire/section.ts";
import { readStreamHeader } from "../wire/stream_header.ts";

/** QEMU's largest machines have some thousand sections; a stream with more than this lies. */
const SECTIONS_MAX = 65_536;

/** Which of a section's elements is being loaded. */
export type SectionPart = "start" | "part" | "end" | "full";

/** Loads the payload of one handler's sections. */
export interface SectionLoader {
  /**
   * Consumes one payload, exactly up to the footer.
   * @param reader At the payload's first byte.
   * @param part Which element it is.
   * @param context The loop around it: which sections are open.
   */
  load(reader: ByteReader, part: SectionPart, context: LoadContext): Promise<void>;
}

/** What a destination does with the elements of a stream. */
export interface LoadTarget {
  /** The stream's first element. */
  configuration(configuration: Configuration): void | Promise<void>;
  /**
   * The loader of a section that begins here.
   * @throws {IncompatibleError} If this machine has no such section or not in that version.
   */
  section(header: FullSectionHeader): SectionLoader;
  /**
   * One command.
   * @param reader Behind the command; what follows it without being counted is read from here.
   * @param context The loop around it, for elements inside of a command.
   * @returns `leave` to end all nested loops.
   */
  command(
    command: ReceivedCommand,
    reader: ByteReader,
    context: LoadContext,
  ): Promise<"continue" | "leave">;
}

interface OpenSection {
  readonly header: FullSectionHeader;
  readonly loader: SectionLoader;
}

/** The sections that a stream has begun, by their ids; shared by nested loops over the same stream. */
export class LoadContext {
  readonly #open = new Map<number, OpenSection>();

  /** @param target Who the elements are for. */
  constructor(readonly target: LoadTarget) {}

  /** Whether PART and END may refer to this id. */
  isOpen(sectionId: number): boolean {
    return this.#open.has(sectionId);
  }

  /**
   * Loads elements until EOF or until a command leaves the loop.
   * @returns Which of the two ended it.
   */
  async loadElements(reader: ByteReader): Promise<"eof" | "leave"> {
    for (;;) {
      const offset = reader.position;
      const type = await reader.u8("the next section's type");
      switch (type) {
        case ElementType.EOF:
          return "eof";
        case ElementType.SECTION_START:
        case ElementType.SECTION_FULL:
          await this.#loadFirst(reader, type);
          break;
        case ElementType.SECTION_PART:
        case ElementType.SECTION_END:
          await this.#loadNext(reader, type, offset);
          break;
        case ElementType.COMMAND:
          if (await this.#command(reader, offset) === "leave") return "leave";
          break;
        default:
          throw new StreamFormatError(
            `Unknown section type 0x${type.toString(16).padStart(2, "0")}`,
            { place: { offset } },
          );
      }
    }
  }

  async #command(reader: ByteReader, offset: number): Promise<"continue" | "leave"> {
    const command = await readCommand(reader);
    try {
      return await this.target.command(command, reader, this);
    } catch (error) {
      throw asMigrationError(error).at({ section: describeCommand(command.command), offset });
    }
  }

  async #loadFirst(reader: ByteReader, type: FullSectionHeader["type"]): Promise<void> {
    const offset = reader.position - 1;
    const header = await readFullSectionHeader(reader, type);
    try {
      if (this.#open.size === SECTIONS_MAX && !this.#open.has(header.sectionId)) {
        throw new StreamFormatError(`More than ${SECTIONS_MAX} sections`);
      }
      const section = { header, loader: this.target.section(header) };
      this.#open.set(header.sectionId, section);
      await this.#load(reader, section, type === ElementType.SECTION_FULL ? "full" : "start");
    } catch (error) {
      throw asMigrationError(error).at({ section: sectionName(header), offset });
    }
  }

  async #loadNext(reader: ByteReader, type: number, offset: number): Promise<void> {
    const sectionId = await reader.be32("a section's id");
    const section = this.#open.get(sectionId);
    if (!section) {
      throw new StreamFormatError(`Section ${sectionId} goes on without having begun`, {
        place: { offset },
      });
    }
    try {
      await this.#load(reader, section, type === ElementType.SECTION_PART ? "part" : "end");
    } catch (error) {
      throw asMigrationError(error).at({ section: sectionName(section.header), offset });
    }
  }

  async #load(reader: ByteReader, section: OpenSection, part: SectionPart): Promise<void> {
    await section.loader.load(reader, part, this);
    await readSectionFooter(reader, section.header.sectionId, sectionName(section.header));
  }
}

/**
 * Loads a whole stream up to and including its EOF element.
 * @param reader At the stream's first byte.
 * @param target Who it is for.
 * @returns The context, and which of the two ended the loop.
 */
export async function loadStream(
  reader: ByteReader,
  target: LoadTarget,
): Promise<{ context: LoadContext; end: "eof" | "leave" }> {
  await readStreamHeader(reader);
  const offset = reader.position;
  const configuration = await readConfiguration(reader);
  try {
    await target.configuration(configuration);
  } catch (error) {
    throw asMigrationError(error).at({ offset });
  }
  const context = new LoadContext(target);
  return { context, end: await context.loadElements(reader) };
}

/** How messages name a section: `ram/0`. */
export function sectionName(header: FullSectionHeader): string {
  return `${header.idstr}/${header.instanceId}`;
}
