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
