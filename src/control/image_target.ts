/**
 * An image as the destination of a migration: RAM and sections are kept as they come, and the machine is
 * acknowledged once `keep` has put it where it is safe.
 *
 * @module
 */
import { IncompatibleError, StateError, StreamFormatError } from "../errors.ts";
import { MachineImage } from "../image/machine_image.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { SectionLoader } from "../savevm/load.ts";
import { readOpaquePayload } from "../savevm/opaque_section.ts";
import type { Configuration } from "../wire/configuration.ts";
import type { FullSectionHeader } from "../wire/section.ts";
import type { IncomingTarget } from "./incoming_target.ts";

/** QEMU's machines have some hundred sections, the largest some thousand. */
const SECTIONS_MAX = 65_536;

/** Collects a machine image. */
export class ImageTarget implements IncomingTarget {
  #configuration: Configuration | undefined;
  #image: MachineImage | undefined;

  /** @param keep Is given the complete image; the source is told when it has resolved. */
  constructor(private readonly keep: (image: MachineImage) => Promise<void>) {}

  /** The image. @throws {StateError} Before the stream's block list has come. */
  get image(): MachineImage {
    if (!this.#image) throw new StateError("The stream has no RAM section");
    return this.#image;
  }

  configuration(configuration: Configuration): void {
    this.#configuration = configuration;
  }

  prepareRam(blocks: readonly RamBlockEntry[], sectionId: number): Promise<GuestRam> {
    return Promise.try(() => {
      this.#image = MachineImage.create(this.#configuration!, blocks, sectionId);
      return this.#image.ram;
    });
  }

  section(header: FullSectionHeader): SectionLoader {
    const { image } = this;
    return {
      async load(reader, part, context) {
        if (part !== "full") {
          throw new IncompatibleError(
            "A section that is sent in parts cannot be kept in an image, except for RAM",
            { advice: "Turn the source's capability off that sends it, such as `dirty-bitmaps`." },
          );
        }
        if (image.sections.length === SECTIONS_MAX) {
          throw new StreamFormatError(`More than ${SECTIONS_MAX} sections`);
        }
        const payload = await readOpaquePayload(reader, header.sectionId, context);
        image.sections.push({ header, payload });
      },
    };
  }

  switchoverStart(): void {
    this.image.hasSwitchoverStart = true;
  }

  async complete(description: Promise<Uint8Array | undefined>): Promise<boolean> {
    this.image.finish(await description);
    await this.keep(this.image);
    return false;
  }

  abandon(): Promise<void> {
    return Promise.resolve();
  }
}
