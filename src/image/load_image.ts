/**
 * Loads an image from a file that a QEMU or a Ferry wrote: all of its RAM, and its sections as they are.
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import { targetPageSize } from "../machine/page.ts";
import { RAM_SECTION } from "../ram/flags.ts";
import { IncomingStream } from "../ram/incoming_stream.ts";
import { RamLoader } from "../ram/load.ts";
import { loadStream, type LoadTarget, type SectionLoader } from "../savevm/load.ts";
import { readOpaquePayload } from "../savevm/opaque_section.ts";
import { fileSpec } from "../transport/file_channel.ts";
import { Command, describeCommand, type ReceivedCommand } from "../wire/command.ts";
import type { Configuration } from "../wire/configuration.ts";
import type { FullSectionHeader } from "../wire/section.ts";
import { readVmDescription } from "../wire/vm_description.ts";
import { MachineImage } from "./machine_image.ts";

/** Where in a file the stream is. */
export interface LoadImageOptions {
  /** Where it begins, in bytes. @default {0} */
  readonly offset?: number;
}

/**
 * Loads an image.
 * @param name The file's name, from the current directory.
 * @throws {TransportError} If the file cannot be read.
 * @throws {StreamFormatError | ConnectionLostError} If it is no stream, or not a complete one.
 * @throws {IncompatibleError} If it has what an image cannot hold.
 */
export async function loadImage(
  name: string,
  options: LoadImageOptions = {},
): Promise<MachineImage> {
  const stream = await IncomingStream.start(fileSpec(name, options.offset ?? 0, "read"));
  try {
    const loader = new ImageLoader(stream);
    await loadStream(stream.reader, loader);
    return loader.finish(await readVmDescription(stream.reader));
  } finally {
    await stream[Symbol.asyncDispose]();
  }
}

class ImageLoader implements LoadTarget {
  #configuration: Configuration | undefined;
  #image: MachineImage | undefined;
  #ram: RamLoader | undefined;

  constructor(private readonly stream: IncomingStream) {}

  configuration(configuration: Configuration): void {
    this.#configuration = configuration;
  }

  section(header: FullSectionHeader): SectionLoader {
    if (header.idstr === RAM_SECTION.idstr) return this.#ramLoader(header);
    const image = this.#loaded();
    return {
      async load(reader, part, context) {
        if (part !== "full") {
          throw new IncompatibleError("A section that is sent in parts cannot be kept in an image");
        }
        const payload = await readOpaquePayload(reader, header.sectionId, context);
        image.sections.push({ header, payload });
      },
    };
  }

  command({ command }: ReceivedCommand): Promise<"continue"> {
    return Promise.try(() => {
      if (command === Command.SWITCHOVER_START) this.#loaded().hasSwitchoverStart = true;
      else if (command !== Command.OPEN_RETURN_PATH && command !== Command.PING) {
        throw new StreamFormatError(`${describeCommand(command)} in a file`);
      }
      return "continue" as const;
    });
  }

  finish(description: Uint8Array | undefined): MachineImage {
    const image = this.#loaded();
    const whole = this.#ram?.complete ||
      image.ram.blocks.every((block) => block.received.count() === block.pageCount);
    if (!whole) throw new StreamFormatError("The stream ended before all of its RAM had come");
    image.finish(description);
    return image;
  }

  #loaded(): MachineImage {
    if (!this.#image) throw new StreamFormatError("The stream has no RAM section");
    return this.#image;
  }

  #ramLoader(header: FullSectionHeader): RamLoader {
    if (this.#ram) throw new StreamFormatError("The stream has a second RAM section");
    if (header.versionId !== RAM_SECTION.versionId) {
      throw new StreamFormatError(
        `RAM section version ${header.versionId}: only ${RAM_SECTION.versionId} is known`,
      );
    }
    const configuration = this.#configuration!;
    return this.#ram = new RamLoader({
      dialect: {
        pageSize: targetPageSize(configuration.targetPageBits),
        ignoreShared: configuration.capabilities?.includes("x-ignore-shared") ?? false,
      },
      prepare: (blocks) =>
        Promise.try(() => {
          this.#image = MachineImage.create(configuration, blocks, header.sectionId);
          this.stream.setRam(this.#image.ram);
        }),
      loadPages: () => this.stream.loadPages(),
      flush: () =>
        Promise.reject(
          new IncompatibleError("The stream's pages went over multifd channels: they are not here"),
        ),
    });
  }
}
