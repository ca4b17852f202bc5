/**
 * The same guest on a machine of Ferry's and in a QEMU.
 *
 * @module
 */
import { MigratableMachine } from "../../src/control/migratable_machine.ts";
import { Qemu, type QemuOptions } from "../../tests/support/qemu.ts";
import { SweepGuest } from "../../tests/support/sweep_guest.ts";

const MIB = 1024 ** 2;
/** What a QEMU has besides what its guest writes: firmware and what lies below. */
const REST = 8 * MIB;
const PAGE = 4096;

/** What the guest does. */
export interface Sweep {
  /** Of how many bytes it writes one in each page. */
  readonly range: number;
  /** How long it halts between two sweeps, in milliseconds. */
  readonly pace: number;
}

/** A machine of Ferry's; its guest has not begun. */
export async function ferryMachine({ range, pace }: Sweep): Promise<MigratableMachine> {
  const guest = new URL("sweeper.ts", import.meta.url).pathname;
  return await MigratableMachine.create({
    ...{ name: "sweep", ram: { swept: range, rest: REST } },
    vcpus: [`${guest},pace=${pace}`],
  });
}

/** Gives a machine of Ferry's the content that the guest in a QEMU makes. */
export function fill(machine: MigratableMachine, sweep: Sweep): void {
  const guest = sweepGuest(sweep);
  const block = machine.ram.blocks[0]!;
  for (let at = 0; at < block.length; at += PAGE) {
    block.view(at, PAGE).set(guest.fillOf(guest.start + at), 4);
  }
}

/** A QEMU, and if it waits for no migration, one whose guest is at work. */
export async function qemuMachine(
  sweep: Sweep,
  options: Pick<QemuOptions, "name" | "incoming" | "args">,
): Promise<Qemu> {
  const qemu = await Qemu.launch({ version: "10.0", guest: sweepGuest(sweep), ...options });
  if (options.incoming === undefined) await qemu.serial.waitForHeartbeats(3);
  return qemu;
}

function sweepGuest({ range, pace }: Sweep): SweepGuest {
  return new SweepGuest({ size: range, fill: 2048, paceMs: pace });
}
