/**
 * The handover of a precopy (wire-format §10.1; QEMU `migration/migration.c`,
 * `migration_completion_precopy`). Up to the byte that ends the stream the destination cannot run, and this
 * side can. With that byte it may, so this side must not, whatever happens then: unless the destination says
 * that it failed. To make the time in between short, all else is on its way before, and where there is a
 * return path the destination has confirmed that it has loaded all.
 *
 * @module
 */
import { HandoverUnknownError, type MigrationError } from "../errors.ts";
import { Command, writeCommand, writePing } from "../wire/command.ts";
import type { Configuration } from "../wire/configuration.ts";
import { ElementType } from "../wire/section.ts";
import { writeVmDescription } from "../wire/vm_description.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingRam } from "./outgoing_ram.ts";

/** The PING before the end of the stream: its PONG says that all is loaded. The number is ours. */
const PING_LOADED = 0x46;

/** The migration around it. */
export interface HandoverContext {
  /** The machine; its guest is stopped, and what it has written is known. */
  readonly machine: OutgoingMachine;
  readonly link: OutgoingLink;
  readonly ram: OutgoingRam;
  /** What the stream began with. */
  readonly sent: Configuration;
  /** Called right before the byte. */
  readonly allSent: () => void;
}

/**
 * Sends the rest, the devices and the end, and waits until the machine is the destination's.
 * @throws {MigrationError} If it is not, or nobody knows.
 */
export async function handOver(context: HandoverContext): Promise<void> {
  const { machine, link, ram, sent, allSent } = context;
  const { stream, returnPath, destination, trouble } = link;
  const { check } = trouble;
  if (machine.sendsSwitchoverStart) writeCommand(stream.writer, Command.SWITCHOVER_START);
  await ram.saver.sendEnd(check);
  await ram.channels?.end(check);
  const description = machine.saveDevices(stream.writer, sent);
  if (returnPath) {
    writePing(stream.writer, PING_LOADED);
    await stream.flush(check);
    await destination.pong(PING_LOADED);
  }
  await stream.written(check);
  if (ram.channels) await trouble.guard(ram.channels.ended());
  check();
  // Nothing is awaited from here to the byte: either it goes out, or this side still has the machine.
  allSent();
  stream.writer.u8(ElementType.EOF);
  writeVmDescription(stream.writer, description);
  const ended = stream.end(check);
  if (returnPath) await destination.verdict(ended);
  else {
    await ended;
    await link.finish();
  }
}

/** The failure of a migration whose machine may run at the destination. @param cause What happened. */
export function handoverUnknown(cause: MigrationError): HandoverUnknownError {
  return new HandoverUnknownError(
    `The destination has the whole machine and did not confirm that it runs: ${cause.what}`,
    {
      cause,
      place: cause.place,
      advice: "Look at the destination; start the machine here only if it does not run there.",
    },
  );
}
