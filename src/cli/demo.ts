/**
 * `demo`: a machine whose guest keeps writing moves from this process to another one, and every page is
 * looked at on both sides.
 *
 * @module
 */
import { MachineDirtying } from "../control/machine_dirtying.ts";
import { MigrationControl } from "../control/migration_control.ts";
import { prepareOutgoing } from "../control/spare_threads.ts";
import { CancelledError, MigrationError } from "../errors.ts";
import { Machine } from "../machine/machine.ts";
import { describeWrongPage } from "../machine/verify/find_wrong_page.ts";
import { verifyRam } from "../machine/verify/ram_check.ts";
import { serveQmp } from "../qmp/server.ts";
import { SpareWorkers } from "../threads/spare_workers.ts";
import { formatBytes, formatCount } from "./amount.ts";
import type { DemoArguments } from "./arguments.ts";
import { DemoProcess } from "./demo_process.ts";
import { followOutgoing } from "./follow.ts";
import { DEFAULT_RAM, describeGuest, guestSpecs, MACHINE_NAME, RAM_BLOCK } from "./guests.ts";
import { cancel, Interrupt, INTERRUPTED } from "./interrupt.ts";
import { OutgoingMending } from "./mending.ts";
import { Output } from "./output.ts";
import { startPostcopyAfter } from "./postcopy_after.ts";
import { transportOf } from "./transport.ts";

/** How fast the guest writes if nobody says, in bytes a second. */
const DEFAULT_DIRTY_RATE = 64 * 1024 ** 2;

/**
 * Runs the command.
 * @returns The exit status.
 */
export async function demo(args: DemoArguments): Promise<number> {
  const { ram = DEFAULT_RAM, dirtyRate = DEFAULT_DIRTY_RATE } = args;
  const output = new Output(args);
  const vcpus = guestSpecs(["stress"], { dirtyRate, seed: args.seed });
  await using spares = new SpareWorkers();
  await using machine = await Machine.create({
    name: MACHINE_NAME,
    ram: { [RAM_BLOCK]: ram },
    vcpus,
  });
  await using dirtying = new MachineDirtying(machine, args.dirtyLog);
  const control = new MigrationControl({
    source: () => dirtying.source(),
    transport: transportOf(args),
    spares,
  });
  control.onEvent((event) => output.event(event));
  control.setCapabilities(args.capabilities);
  control.setParameters(args.parameters);
  using interrupt = new Interrupt(() => cancel(control, output));
  output.say(
    `A machine with ${formatBytes(ram)} of RAM runs in process ${Deno.pid}; ` +
      `its guest fills RAM, then writes ${formatBytes(dirtyRate)}/s`,
  );
  await machine.start();
  await using qmp = args.qmp === undefined ? undefined : await serveQmp({
    ...{ control, machine, dirtyRate: dirtying.rate, dirtyLimit: dirtying.limiter },
    quit: () => interrupt.now(),
  }, args.qmp);
  if (qmp) output.say(`QMP of the source on ${qmp.uri}`);
  prepareOutgoing(spares, control);
  await using destination = await DemoProcess.start(args, { ram, dirtyRate });
  try {
    await Promise.race([hasFilled(machine, ram, () => interrupt.isInterrupted), machine.failed]);
    if (interrupt.isInterrupted) throw new CancelledError("Interrupted before the migration began");
    const { uri } = destination;
    output.say(`Process ${destination.pid} waits for it on ${uri}`);
    using _mending = new OutgoingMending(
      control,
      output,
      uri,
      "The machine is lost if one of the two programs ends before they have come.",
    );
    const migration = await control.migrate(uri);
    using _postcopy = startPostcopyAfter(migration, args.postcopyAfter);
    const info = await followOutgoing(migration, output);
    output.say("It runs there. Looking at every page on both sides …");
    const here = await verifyRam(machine);
    if (here) throw new MigrationError(`At the source: ${describeWrongPage(here)}`);
    const there = await destination.verify();
    if (there.wrong) {
      throw new MigrationError(`At the destination: ${describeWrongPage(there.wrong)}`);
    }
    const pages = formatCount(ram / machine.ram.pageSize);
    output.result(
      { ...info, verified: true },
      `Moved from process ${Deno.pid} to process ${destination.pid}. Verified: each of ${pages} pages, ` +
        `here as it was when the guest stopped, and there after it had written ` +
        `${formatCount(there.pages)} more pages`,
    );
    return 0;
  } catch (error) {
    output.failure(error);
    output.warn(await describeGuest(machine));
    output.result(
      { ...control.info(), ...control.status === "completed" && { verified: false } },
      "Not moved",
    );
    return error instanceof CancelledError && interrupt.isInterrupted ? INTERRUPTED : 1;
  }
}

/** Resolves when the guest has written every page once. */
async function hasFilled(machine: Machine, ram: number, isOver: () => boolean): Promise<void> {
  const pages = ram / machine.ram.pageSize;
  while (machine.counters.pages < pages && !isOver()) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
