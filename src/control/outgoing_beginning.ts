/**
 * What a source says before the first page: which machine comes, how the two sides will talk, and which
 * blocks RAM has (wire-format §1, §2, §5 and §8.2; QEMU `migration/savevm.c`, `qemu_savevm_state_header`).
 *
 * @module
 */
import { writeAdvise } from "../postcopy/source_commands.ts";
import { writeRamStart } from "../ram/save.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import { Command, writeCommand, writePing } from "../wire/command.ts";
import { writeConfiguration } from "../wire/configuration.ts";
import { writeStreamHeader } from "../wire/stream_header.ts";
import { sentConfiguration } from "./agreement.ts";
import type { Capabilities } from "./capabilities.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { Trouble } from "./trouble.ts";

/** The PING whose PONG says that the destination has understood the beginning. */
export const PING_OPENED = 1;

/** What the beginning depends on. */
export interface Beginning {
  readonly machine: OutgoingMachine;
  readonly capabilities: Capabilities;
  /** Whether the destination is to answer. */
  readonly opensReturnPath: boolean;
  /** Set if the list of blocks is part of it: whether the channels of multifd are synchronised there. */
  readonly ramStart?: { readonly flushes: boolean } | undefined;
}

/** Encodes the beginning of a stream. */
export function encodeBeginning(beginning: Beginning): Uint8Array<ArrayBuffer> {
  const { machine, capabilities, opensReturnPath, ramStart } = beginning;
  const writer = new ByteWriter();
  writeStreamHeader(writer);
  writeConfiguration(writer, sentConfiguration(machine, capabilities));
  if (opensReturnPath) {
    writeCommand(writer, Command.OPEN_RETURN_PATH);
    writePing(writer, PING_OPENED);
  }
  if (capabilities["postcopy-ram"]) writeAdvise(writer, machine.ram);
  if (ramStart) writeRamStart(writer, machine.ramSectionId, machine.blocks, ramStart.flushes);
  return writer.take();
}

/** How often it is looked whether a device has been given back, in milliseconds. */
const UNPLUG_INTERVAL_MS = 250;

/**
 * Waits until the guest has given back every device that cannot move with it (QEMU
 * `migration/migration.c`, `qemu_savevm_wait_unplug`).
 * @param onPending Called before it waits, if it has to, with the devices.
 * @throws {MigrationError} What the migration ended with meanwhile.
 */
export async function waitForUnplug(
  machine: Pick<OutgoingMachine, "pendingUnplugs">,
  trouble: Trouble,
  onPending: (devices: readonly string[]) => void,
): Promise<void> {
  const pending = (): readonly string[] => machine.pendingUnplugs?.() ?? [];
  const devices = pending();
  if (devices.length === 0) return;
  onPending(devices);
  while (pending().length > 0) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const interval = new Promise<void>((resolve) =>
      timer = setTimeout(resolve, UNPLUG_INTERVAL_MS)
    );
    try {
      await trouble.guard(interval);
    } finally {
      clearTimeout(timer);
    }
  }
}
