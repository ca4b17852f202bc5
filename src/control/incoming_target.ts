/**
 * What the incoming state machine needs of where the machine goes: a machine to run, an image to keep, or
 * nothing.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { Presence } from "../machine/presence.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { SectionLoader } from "../savevm/load.ts";
import type { Configuration } from "../wire/configuration.ts";
import type { ProvidedRam } from "./provided_ram.ts";
import type { FullSectionHeader } from "../wire/section.ts";

/** A machine whose guest runs here before all of its RAM has come. */
export interface PostcopyGuest {
  /** Where its vCPUs wait for pages. */
  readonly presence: Presence;
  /** Turns on or off that guests ask for the pages they use; without it the kernel stops them. */
  askForPages(on: boolean): Promise<void>;
  /**
   * Everything but RAM is loaded, and the source has given the machine away.
   * @param takeOver As in {@linkcode IncomingTarget.complete}.
   * @returns Whether a guest runs now.
   */
  run(takeOver: () => void): Promise<boolean>;
}

/** The destination's machine. */
export interface IncomingTarget {
  /** The machine's UUID, 16 bytes; without one, a source may have any. */
  readonly uuid?: Uint8Array | undefined;
  /**
   * The stream's first element.
   * @throws {IncompatibleError} If it is of another machine.
   */
  configuration(configuration: Configuration): void;
  /**
   * Begins to have RAM provided, where it is there before the stream. From here on nobody writes it but
   * this migration.
   */
  provideRam?(): Promise<ProvidedRam | undefined>;
  /**
   * The stream's RAM.
   * @param sectionId The id of the stream's `ram` section.
   * @returns Where pages go; it has every block of the list.
   * @throws {IncompatibleError} If this machine has others.
   */
  prepareRam(blocks: readonly RamBlockEntry[], sectionId: number): Promise<GuestRam>;
  /**
   * Who loads a section other than `ram`.
   * @throws {IncompatibleError} If this machine has no such section or not in that version.
   */
  section(header: FullSectionHeader): SectionLoader;
  /**
   * The guest that runs before its RAM has come, in postcopy. A target without one keeps the machine, and
   * is complete when all of RAM is there.
   */
  postcopyGuest?(): PostcopyGuest;
  /** The source has stopped its guest and knows the command that says so. */
  switchoverStart(): void;
  /**
   * Everything is loaded, and the source has given the machine away. If this fails before the target has
   * called `takeOver`, the source is told, and its machine runs on.
   * @param description The JSON description's text, if the stream has one; it may come later or never.
   * @param takeOver Makes the machine this side's for good; it is to be called before a guest runs.
   * Throws if the migration was cancelled meanwhile. What has only to be kept is taken over by returning.
   * @returns Whether a guest runs now.
   */
  complete(
    description: Promise<Uint8Array | undefined>,
    takeOver: () => void,
  ): Promise<boolean>;
  /** The migration failed: the source keeps the machine. */
  abandon(): Promise<void>;
  /** The migration is over, however it ended, and nothing of it goes on. */
  ended?(): void;
}
