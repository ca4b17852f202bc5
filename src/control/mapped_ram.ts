/**
 * The capability `mapped-ram`: pages are not in the stream but at fixed places of the file that has both
 * (wire-format §7; QEMU `docs/devel/migration/mapped-ram.rst`). One thread writes or reads them or, with
 * `multifd`, as many as it has channels.
 *
 * @module
 */
import { MappedWriter } from "../mapped_ram/mapped_writer.ts";
import type { OutgoingStream } from "../ram/outgoing_stream.ts";
import { RamSaver } from "../ram/save.ts";
import type { FileSpec } from "../transport/channel.ts";
import type { Capabilities } from "./capabilities.ts";
import type { ChannelWorkersOptions, PageChannels } from "./outgoing_channels.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { Parameters } from "./parameters.ts";

/** The settings that say how the file is used. */
export interface MappedRamSettings {
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
}

/** What the threads that have the pages are called. */
export function pageThreadNames({ capabilities, parameters }: MappedRamSettings): string[] {
  if (!capabilities.multifd) return ["pages"];
  return Array.from({ length: parameters["multifd-channels"] }, (_, i) => `multifd ${i}`);
}

/** The file as those threads open it: `direct-io` has an effect with multifd only, as in QEMU. */
export function pageFile(
  file: FileSpec,
  { capabilities, parameters }: MappedRamSettings,
): FileSpec {
  return { ...file, direct: capabilities.multifd && parameters["direct-io"] };
}

/** The pages of an outgoing migration to a mapped-ram file. */
export class OutgoingMappedRam implements PageChannels {
  #writer: MappedWriter | undefined;

  /**
   * @param file Where the stream goes.
   * @param machine Whose pages are written.
   */
  constructor(
    private readonly file: FileSpec,
    private readonly machine: OutgoingMachine,
    private readonly settings: MappedRamSettings,
  ) {}

  start({ progress, spares, digests, onFailure }: ChannelWorkersOptions): MappedWriter {
    return this.#writer = new MappedWriter({
      ...{ progress, spares, onFailure },
      ...digests && { digests },
      file: pageFile(this.file, this.settings),
      ram: this.machine.ram,
      names: pageThreadNames(this.settings),
      detectZero: this.settings.parameters["zero-page-detection"] !== "none",
    });
  }

  saver(stream: OutgoingStream): RamSaver {
    const { ram, ramSectionId } = this.machine;
    return new RamSaver(ram, stream, this.#writer!, ramSectionId);
  }

  async end(check: () => void): Promise<void> {
    await this.#writer!.end(check);
  }

  async ended(): Promise<void> {
    await this.#writer!.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer?.[Symbol.asyncDispose]();
  }
}
