/**
 * What a source says before the first page: which machine comes, and how the two sides will talk
 * (wire-format §1, §2 and §8.2; QEMU `migration/savevm.c`, `qemu_savevm_state_header`).
 *
 * @module
 */
import { writeAdvise } from "../postcopy/source_commands.ts";
import { Command, writeCommand, writePing } from "../wire/command.ts";
import { writeConfiguration } from "../wire/configuration.ts";
import { writeStreamHeader } from "../wire/stream_header.ts";
import { sentConfiguration } from "./agreement.ts";
import type { Capabilities } from "./capabilities.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { Trouble } from "./trouble.ts";

/** The PING whose PONG says that the destination has understood the beginning. */
export const PING_OPENED = 1;

/** Writes the beginning of a stream. @param link Its main channel, whose threads are there. */
export function writeBeginning(
  { stream: { writer }, returnPath }: OutgoingLink,
  machine: OutgoingMachine,
  capabilities: Capabilities,
): void {
  writeStreamHeader(writer);
  writeConfiguration(writer, sentConfiguration(machine, capabilities));
  if (returnPath) {
    writeCommand(writer, Command.OPEN_RETURN_PATH);
    writePing(writer, PING_OPENED);
  }
  if (capabilities["postcopy-ram"]) writeAdvise(writer, machine.ram);
}

/** How often it is looked whether a device has been given back, in milliseconds. */
const UNPLUG_INTERVAL_MS = 250;

/**
 * Waits until the guest has given back every device that cannot move with it (QEMU
 * `migration/migration.c`, `qemu_savevm_wait_unplug`).
 * @param onPending Called before it waits, if it has to.
 * @throws {MigrationError} What the migration ended with meanwhile.
 */
export async function waitForUnplug(
  machine: Pick<OutgoingMachine, "unplugPending">,
  trouble: Trouble,
  onPending: () => void,
): Promise<void> {
  if (!machine.unplugPending?.()) return;
  onPending();
  while (machine.unplugPending()) {
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
