/**
 * Takes the elements of a stream that becomes an image: of RAM whatever its pages' keeper does with them, of
 * everything else the bytes.
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import { targetPageSize } from "../machine/page.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import { RAM_SECTION } from "../ram/flags.ts";
import { RamLoader } from "../ram/load.ts";
import type { LoadTarget, SectionLoader } from "../savevm/load.ts";
import { readOpaquePayload } from "../savevm/opaque_section.ts";
import { Command, describeCommand, type ReceivedCommand } from "../wire/command.ts";
import { type Configuration, hasCapability } from "../wire/configuration.ts";
import type { FullSectionHeader } from "../wire/section.ts";
import type { CarriedSection } from "./machine_image.ts";

/** Keeps pages. */
export interface PageKeeper {
  /** Takes what follows a block's entry in a mapped-ram file, for who can move to any place of the file. */
  readPlace?(entry: RamBlockEntry, pageSize: number): Promise<void>;
  /** The list of blocks has come. */
  prepare(list: ImageBlocks): void | Promise<void>;
  /** Takes the records of pages that come next, up to the first that is none. */
  loadPages(): Promise<void>;
}

/** What a stream says of its RAM before the pages. */
export interface ImageBlocks {
  readonly configuration: Configuration;
  readonly blocks: readonly RamBlockEntry[];
  readonly ramSectionId: number;
}

/** Whether a stream's pages are not in it, but at fixed places of the file that it is in. */
export function isMappedRam(configuration: Configuration): boolean {
  return hasCapability(configuration, "mapped-ram");
}

/**
 * Refuses what leaves RAM out: what is not in a mapped-ram file is zeros.
 * @throws {IncompatibleError} If the configuration says so.
 */
export function requireAllRam(configuration: Configuration): void {
  if (!hasCapability(configuration, "x-ignore-shared")) return;
  throw new IncompatibleError("A mapped-ram file cannot leave RAM out (x-ignore-shared)", {
    advice: "Turn one of the two capabilities off at the source, or use the format stream.",
  });
}

/** The loader of one stream. */
export class ImageLoader implements LoadTarget {
  /** The sections that were sent once. */
  readonly sections: CarriedSection[] = [];
  /** Whether the stream said SWITCHOVER_START. */
  hasSwitchoverStart = false;
  #configuration: Configuration | undefined;
  #ram: RamLoader | undefined;

  /** @param pages Takes the pages. */
  constructor(private readonly pages: PageKeeper) {}

  /** Whether all of RAM has come by itself. */
  get isRamComplete(): boolean {
    return this.#ram?.complete ?? false;
  }

  configuration(configuration: Configuration): void {
    this.#configuration = configuration;
  }

  section(header: FullSectionHeader): SectionLoader {
    if (header.idstr === RAM_SECTION.idstr) return this.#ramLoader(header);
    const { sections } = this;
    return {
      async load(reader, part, context) {
        if (part !== "full") {
          throw new IncompatibleError("A section that is sent in parts cannot be kept in an image");
        }
        const payload = await readOpaquePayload(reader, header.sectionId, context);
        sections.push({ header, payload });
      },
    };
  }

  command({ command }: ReceivedCommand): Promise<"continue"> {
    return Promise.try(() => {
      if (command === Command.SWITCHOVER_START) this.hasSwitchoverStart = true;
      else if (command !== Command.OPEN_RETURN_PATH && command !== Command.PING) {
        throw new StreamFormatError(`${describeCommand(command)} in a file`);
      }
      return "continue" as const;
    });
  }

  #ramLoader(header: FullSectionHeader): RamLoader {
    if (this.#ram) throw new StreamFormatError("The stream has a second RAM section");
    if (header.versionId !== RAM_SECTION.versionId) {
      throw new StreamFormatError(
        `RAM section version ${header.versionId}: only ${RAM_SECTION.versionId} is known`,
      );
    }
    const configuration = this.#configuration!;
    const { pages } = this;
    const pageSize = targetPageSize(configuration.targetPageBits);
    const isMapped = isMappedRam(configuration);
    if (isMapped && !pages.readPlace) {
      throw new IncompatibleError("The pages of a mapped-ram file are read from the file only");
    }
    if (isMapped) requireAllRam(configuration);
    return this.#ram = new RamLoader({
      dialect: {
        pageSize,
        ignoreShared: hasCapability(configuration, "x-ignore-shared"),
        ...isMapped && { afterBlock: (entry) => pages.readPlace!(entry, pageSize) },
      },
      prepare: async (blocks) => {
        await this.pages.prepare({ configuration, blocks, ramSectionId: header.sectionId });
      },
      loadPages: () => this.pages.loadPages(),
      flush: () =>
        Promise.reject(
          new IncompatibleError("The stream's pages went over multifd channels: they are not here"),
        ),
    });
  }
}

/** That a stream has no RAM at all. */
export function noRam(): StreamFormatError {
  return new StreamFormatError("The stream has no RAM section");
}

/** That a stream ends without an END of RAM, and not every page has come. */
export function notAllRam(): StreamFormatError {
  return new StreamFormatError("The stream ended before all of its RAM had come");
}
