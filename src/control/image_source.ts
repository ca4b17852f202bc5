/**
 * An image as the source of a migration: nobody writes its RAM, and its devices are sent as they came.
 *
 * @module
 */
import type { MachineImage } from "../image/machine_image.ts";
import type { PageFile } from "../ram/page_index.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import type { Configuration } from "../wire/configuration.ts";
import { type HostPages, withHostPages } from "./host_pages.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";

/** Makes an image an {@linkcode OutgoingMachine}. The image stays as it is. */
export class ImageSource implements OutgoingMachine {
  readonly configuration: Configuration;
  readonly ram: GuestRam;
  readonly pages?: PageFile;
  readonly blocks: readonly RamBlockEntry[];
  readonly ramSectionId: number;
  readonly sendsSwitchoverStart: boolean;
  readonly running = false;
  readonly blockers = [];

  /**
   * @param image What is sent.
   * @param hostPages The destination's large pages; for postcopy only.
   * @throws {SettingError} If they do not fit the image.
   */
  constructor(private readonly image: MachineImage, hostPages: HostPages = {}) {
    const { ram, blocks } = withHostPages(image, hostPages);
    this.configuration = image.configuration;
    this.ram = ram;
    if (image.pages) this.pages = image.pages;
    this.blocks = blocks;
    this.ramSectionId = image.ramSectionId;
    this.sendsSwitchoverStart = image.hasSwitchoverStart;
  }

  markAllDirty(): void {
    this.image.markDirty();
  }

  startDirtyLog(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  stopDirtyLog(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  runOn(): Promise<void> {
    return Promise.resolve();
  }

  handedOver(): Promise<void> {
    return Promise.resolve();
  }

  saveDevices(writer: ByteWriter): Uint8Array {
    return this.image.writeSections(writer);
  }
}
