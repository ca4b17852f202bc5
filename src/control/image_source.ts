/**
 * An image as the source of a migration: nobody writes its RAM, and its devices are sent as they came.
 *
 * @module
 */
import { markUntouched } from "../dirty/untouched.ts";
import { type MachineImage, writeCarriedSection } from "../image/machine_image.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import type { Configuration } from "../wire/configuration.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";

/** A description that says nothing: a destination that waits for one must get one. */
const EMPTY_DESCRIPTION = new TextEncoder().encode("{}");

/** Makes an image an {@linkcode OutgoingMachine}. The image stays as it is. */
export class ImageSource implements OutgoingMachine {
  readonly configuration: Configuration;
  readonly ram: GuestRam;
  readonly blocks: readonly RamBlockEntry[];
  readonly ramSectionId: number;
  readonly sendsSwitchoverStart: boolean;
  readonly running = false;
  readonly blockers = [];

  /** @param image What is sent. */
  constructor(private readonly image: MachineImage) {
    this.configuration = image.configuration;
    this.ram = image.ram;
    this.blocks = image.blocks;
    this.ramSectionId = image.ramSectionId;
    this.sendsSwitchoverStart = image.hasSwitchoverStart;
  }

  /** What was not received stays unsent: QEMU leaves pages out that the destination has by itself. */
  markAllDirty(): void {
    markUntouched(this.ram);
    for (const block of this.ram.blocks) block.dirty.merge(block.received);
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
    for (const section of this.image.sections) writeCarriedSection(writer, section);
    const { description } = this.image;
    return description.length > 0 ? description : EMPTY_DESCRIPTION;
  }
}
