/**
 * `send`: a machine that runs, or an image of one, goes to a destination.
 *
 * @module
 */
import { ImageSource } from "../control/image_source.ts";
import { MachineDirtying } from "../control/machine_dirtying.ts";
import { MigrationControl } from "../control/migration_control.ts";
import type { MigrationStatus } from "../control/migration_status.ts";
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
import { OutgoingMending } from "./mending.ts";
import { Output } from "./output.ts";
import { startPostcopyAfter } from "./postcopy_after.ts";
import { QmpSession } from "./qmp_session.ts";
import { transportOf } from "./transport.ts";

/** Nothing goes on without somebody's doing. */
const PAUSED: readonly MigrationStatus[] = [
  ...["postcopy-paused", "postcopy-recover-setup", "postcopy-recover"] as const,
];

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
  const leaving = Promise.withResolvers<never>();
  leaving.promise.catch(() => {}); // unless somebody waits for it
  using interrupt = new Interrupt(() => {
    // An image is whole wherever its machine is, and the destination waits.
    if (!machine && PAUSED.includes(control.status)) leaving.reject(leftPaused());
    else cancel(control, output);
  });
  if (args.qmp !== undefined) {
    const driven = { control, output, machine: () => machine, dirtying };
    await using qmp = await QmpSession.start(args.qmp, driven);
    if (args.uri !== undefined) {
      const migration = await control.migrate(args.uri, { takeUp: args.resume });
      if (!args.resume) startPostcopyAfter(migration, args.postcopyAfter);
    }
    const status = await Promise.race([qmp.quit, interrupt.happened.then(() => INTERRUPTED)]);
    output.result(control.info(), "The program ends");
    return status;
  }
  try {
    const uri = args.uri!;
    using _mending = new OutgoingMending(control, output, args.recover ?? uri, keptWords(args));
    const migration = await control.migrate(uri, { takeUp: args.resume });
    using _postcopy = args.resume ? undefined : startPostcopyAfter(migration, args.postcopyAfter);
    if (interrupt.isInterrupted) cancel(control, output);
    const info = await Promise.race([followOutgoing(migration, output), leaving.promise]);
    output.result(info, `Sent to ${uri}: it is the destination's now`);
    return 0;
  } catch (error) {
    output.failure(error);
    if (machine) output.warn(await describeGuest(machine));
    else output.say(`The image ${args.from} is as it was`);
    output.result(control.info(), "Not sent");
    return error instanceof CancelledError && interrupt.isInterrupted ? INTERRUPTED : 1;
  }
}

/** What becomes of the machine if the program ends while the destination lacks pages. */
function keptWords({ from }: SendArguments): string {
  return from === undefined
    ? "The machine is lost if this program ends before they have come."
    : "Ctrl-C ends this program; its command with --resume goes on later.";
}

function leftPaused(): CancelledError {
  return new CancelledError("Interrupted: the destination lacks pages, and waits for them", {
    advice: "The same command with --resume goes on",
  });
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
