/**
 * What the elements of an incoming migration's main channel are for: which machine comes, where its RAM and
 * devices go, what its commands do (wire-format §1 to §3; QEMU `migration/savevm.c`,
 * `loadvm_process_command`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { targetPageSize } from "../machine/page.ts";
import { RAM_SECTION } from "../ram/flags.ts";
import { RamLoader } from "../ram/load.ts";
import type { LoadContext, LoadTarget, SectionLoader } from "../savevm/load.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { Command, describeCommand, type ReceivedCommand } from "../wire/command.ts";
import type { Configuration } from "../wire/configuration.ts";
import type { FullSectionHeader } from "../wire/section.ts";
import { leavesRamOut, requireSameCapabilities } from "./agreement.ts";
import { withSourcePages } from "./host_pages.ts";
import type { IncomingLink } from "./incoming_link.ts";
import { IncomingMappedRam } from "./incoming_mapped_ram.ts";
import type { IncomingOptions } from "./incoming_options.ts";
import type { IncomingMultifd } from "./incoming_multifd.ts";
import type { IncomingPostcopy } from "./incoming_postcopy.ts";
import type { IncomingTarget } from "./incoming_target.ts";
import type { MigrationStatus } from "./migration_status.ts";

/** The migration around them. */
export interface IncomingElementsOptions {
  readonly target: IncomingTarget;
  readonly settings: Pick<IncomingOptions, "capabilities">;
  readonly link: IncomingLink;
  /** The migration's postcopy, if there may be one. */
  readonly postcopy: () => IncomingPostcopy | undefined;
  readonly status: () => MigrationStatus;
  /** The last page of precopy has come over the main channel. */
  readonly onRamEnd: () => void;
}

/** Takes the elements of one migration. */
export class IncomingElements implements LoadTarget {
  #configuration: Configuration | undefined;
  #loader: RamLoader | undefined;
  #ram: { readonly ram: GuestRam; readonly sectionId: number } | undefined;

  /** @param options The rest of the migration. */
  constructor(private readonly options: IncomingElementsOptions) {}

  /** The target page, in bytes; known with the stream's first element. */
  get pageSize(): number {
    return targetPageSize(this.#configuration!.targetPageBits);
  }

  /** The RAM and the id of its section, once the stream has named them. */
  get ram(): { readonly ram: GuestRam; readonly sectionId: number } | undefined {
    return this.#ram;
  }

  /**
   * Whether all of RAM has come. A background snapshot's has no END: it ends when each page is there. In a
   * mapped-ram file each is there from the start, and right when the file was finished.
   */
  get hasAllRam(): boolean {
    if (this.#loader?.complete) return true;
    if (!this.#ram || this.options.link.stream instanceof IncomingMappedRam) return false;
    return this.#ram.ram.blocks.every((block) => block.received.count() === block.pageCount);
  }

  configuration(configuration: Configuration): void {
    requireSameCapabilities(configuration, this.options.settings.capabilities);
    this.options.target.configuration(configuration);
    this.#configuration = configuration;
  }

  section(header: FullSectionHeader): SectionLoader {
    if (header.idstr === RAM_SECTION.idstr) return this.#ramLoader(header);
    return this.options.target.section(header);
  }

  async command(
    received: ReceivedCommand,
    reader: ByteReader,
    context: LoadContext,
  ): Promise<"continue" | "leave"> {
    const { target, settings: { capabilities }, link: { returnPath } } = this.options;
    const { command, payload } = received;
    switch (command) {
      case Command.OPEN_RETURN_PATH:
        returnPath.open();
        // No device here has anything to say about the time of the switchover.
        if (capabilities["switchover-ack"]) await returnPath.say({ type: "SWITCHOVER_ACK" });
        return "continue";
      case Command.PING:
        if (!returnPath.isOpen) throw new StreamFormatError("PING without a return path");
        await returnPath.say({ type: "PONG", value: await payload.be32("PING") });
        return "continue";
      case Command.SWITCHOVER_START:
        target.switchoverStart();
        return "continue";
      case Command.POSTCOPY_ADVISE:
      case Command.POSTCOPY_RAM_DISCARD:
      case Command.PACKAGED:
      case Command.POSTCOPY_LISTEN:
      case Command.POSTCOPY_RUN:
      case Command.POSTCOPY_RESUME:
      case Command.RECV_BITMAP: {
        const postcopy = this.options.postcopy();
        if (postcopy) return await postcopy.command(received, reader, context);
        throw new StreamFormatError("The source wants postcopy, which this side does not expect", {
          advice: "Turn the capability postcopy-ram on here too.",
        });
      }
      default:
        throw new StreamFormatError(
          `${describeCommand(command)} is not possible in the state ${this.options.status()}`,
          { advice: "Both sides must have the same capabilities." },
        );
    }
  }

  #ramLoader(header: FullSectionHeader): RamLoader {
    const { versionId, sectionId } = header;
    if (versionId !== RAM_SECTION.versionId) {
      throw new StreamFormatError(
        `RAM section version ${versionId}: only ${RAM_SECTION.versionId} is known`,
      );
    }
    if (this.#loader) throw new StreamFormatError("The stream has a second RAM section");
    const { link, target, onRamEnd } = this.options;
    const { pageSize } = this;
    const { stream } = link;
    const hostPageSizes = this.options.postcopy()?.hostPageSizes ?? 0;
    return this.#loader = new RamLoader({
      dialect: {
        pageSize,
        hostPageSizes,
        ignoreShared: leavesRamOut(this.#configuration!),
        ...stream instanceof IncomingMappedRam && {
          afterBlock: (entry) => stream.readPlace(entry, pageSize),
        },
      },
      prepare: async (blocks) => {
        link.begun();
        // What a page of the source's host is ends with this migration.
        const own = blocks.map(({ hostPageSize: _, ...block }) => block);
        const ram = withSourcePages(await target.prepareRam(own, sectionId), blocks, hostPageSizes);
        this.#ram = { ram, sectionId };
        await stream!.setRam(ram);
        link.multifd?.start(ram);
      },
      loadPages: () => link.stream!.loadPages(),
      flush: async () => await this.#multifdOfPrecopy?.flush(),
      endOfPart: async (part) => {
        await this.#multifdOfPrecopy?.endOfPart(part);
        // Multifd ends by itself. Afterwards devices are loaded, and may write RAM.
        if (part === "end" && !link.multifd) onRamEnd();
      },
    });
  }

  /** In postcopy nothing comes on these channels, and nobody waits for them. */
  get #multifdOfPrecopy(): IncomingMultifd | undefined {
    return this.options.postcopy()?.listening ? undefined : this.options.link.multifd;
  }
}
