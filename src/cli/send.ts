/**
 * `send`: a machine that runs, or an image of one, goes to a destination.
 *
 * @module
 */
import { ImageSource } from "../control/image_source.ts";
import { MachineDirtying } from "../control/machine_dirtying.ts";
import { MigrationControl } from "../control/migration_control.ts";
import { prepareOutgoing } from "../control/spare_threads.ts";
import { CancelledError } from "../errors.ts";
import { loadImage } from "../image/load_image.ts";
import { openImage } from "../image/open_image.ts";
import { Machine } from "../machine/machine.ts";
import { SpareWorkers } from "../threads/spare_workers.ts";
import type { SendArguments } from "./arguments.ts";
import { followOutgoing } from "./follow.ts";
import { DEFAULT_RAM, describeGuest, guestSpecs, MACHINE_NAME, RAM_BLOCK } from "./guests.ts";
import { cancel, Interrupt, INTERRUPTED } from "./interrupt.ts";
import { Output } from "./output.ts";
import { startPostcopyAfter } from "./postcopy_after.ts";
import { QmpSession } from "./qmp_session.ts";
import { transportOf } from "./transport.ts";

/**
 * Runs the command.
 * @returns The exit status.
 */
export async function send(args: SendArguments): Promise<number> {
  const output = new Output(args);
  await using machine = args.from === undefined ? await makeMachine(args) : undefined;
  await using dirtying = machine && new MachineDirtying(machine, args.dirtyLog);
  await using spares = new SpareWorkers();
  const control: MigrationControl = new MigrationControl({
    source: () => dirtying?.source() ?? imageSource(args, control),
    transport: transportOf(args),
    spares,
  });
  control.onEvent((event) => output.event(event));
  control.setCapabilities(args.capabilities);
  control.setParameters(args.parameters);
  prepareOutgoing(spares, control);
  await machine?.start();
  using interrupt = new Interrupt(() => cancel(control, output));
  if (args.qmp !== undefined) {
    const driven = { control, output, machine: () => machine, dirtying };
    await using qmp = await QmpSession.start(args.qmp, driven);
    if (args.uri !== undefined) {
      startPostcopyAfter(await control.migrate(args.uri), args.postcopyAfter);
    }
    const status = await Promise.race([qmp.quit, interrupt.happened.then(() => INTERRUPTED)]);
    output.result(control.info(), "The program ends");
    return status;
  }
  try {
    const migration = await control.migrate(args.uri!);
    using _postcopy = startPostcopyAfter(migration, args.postcopyAfter);
    if (interrupt.isInterrupted) migration.cancel();
    const info = await followOutgoing(migration, output);
    output.result(info, `Sent to ${args.uri}: it is the destination's now`);
    return 0;
  } catch (error) {
    output.failure(error);
    if (machine) output.warn(await describeGuest(machine));
    else output.say(`The image ${args.from} is as it was`);
    output.result(control.info(), "Not sent");
    return error instanceof CancelledError && interrupt.isInterrupted ? INTERRUPTED : 1;
  }
}

async function makeMachine(args: SendArguments): Promise<Machine> {
  return await Machine.create({
    name: MACHINE_NAME,
    ram: { [RAM_BLOCK]: args.ram ?? DEFAULT_RAM },
    vcpus: guestSpecs(args.guests, args),
  });
}

/** Images are served from where they lie; who does not send records wants RAM that is loaded. */
async function imageSource(
  { from, hostPages }: SendArguments,
  { capabilities }: MigrationControl,
): Promise<ImageSource> {
  const wantsMemory = capabilities.multifd || capabilities["mapped-ram"];
  const image = await (wantsMemory ? loadImage(from!) : openImage(from!));
  return new ImageSource(image, capabilities["postcopy-ram"] ? hostPages : {});
}
