/**
 * `receive`: a machine arrives, and runs here, is kept as an image, or is measured and thrown away.
 *
 * @module
 */
import { ImageTarget } from "../control/image_target.ts";
import type { IncomingTarget } from "../control/incoming_target.ts";
import { type Arrival, type MachineOrFactory, MachineTarget } from "../control/machine_target.ts";
import { MachineDirtying } from "../control/machine_dirtying.ts";
import { MigrationControl } from "../control/migration_control.ts";
import type { OutgoingMachine } from "../control/outgoing_machine.ts";
import { CancelledError } from "../errors.ts";
import type { MachineImage } from "../image/machine_image.ts";
import { saveImage } from "../image/save_image.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import { targetPageSize } from "../machine/page.ts";
import { Machine } from "../machine/machine.ts";
import { formatUri } from "../transport/uri.ts";
import { formatBytes } from "./amount.ts";
import type { ReceiveArguments } from "./arguments.ts";
import { formatDuration } from "./duration.ts";
import { followIncoming } from "./follow.ts";
import { describeGuest, guestSpecs, MACHINE_NAME, RAM_BLOCK } from "./guests.ts";
import { cancel, Interrupt, INTERRUPTED } from "./interrupt.ts";
import { lateDirtying } from "./late_dirtying.ts";
import { IncomingMending } from "./mending.ts";
import { Output } from "./output.ts";
import { QmpSession, type QmpSessionOptions } from "./qmp_session.ts";
import { transportOf } from "./transport.ts";

/**
 * Runs the command.
 * @returns The exit status.
 */
export async function receive(args: ReceiveArguments): Promise<number> {
  const output = new Output(args);
  await using place = await makePlace(args, output);
  const control = new MigrationControl({
    get source() {
      return place.source;
    },
    target: () => place.target,
    transport: { ...transportOf(args), onRefused: ({ message }) => output.warn(message) },
  });
  control.onEvent((event) => output.event(event));
  control.setCapabilities(args.capabilities);
  control.setParameters(args.parameters);
  using interrupt = new Interrupt(() => cancel(control, output));
  if (args.qmp !== undefined) {
    const { dirtying, arrival } = place;
    const driven = { control, output, machine: () => place.machine, dirtying, arrival };
    await using qmp = await QmpSession.start(args.qmp, driven);
    if (args.uri !== undefined) control.migrateIncoming(args.uri);
    const status = await Promise.race([qmp.quit, interrupt.happened.then(() => INTERRUPTED)]);
    output.result(control.info(), "The program ends");
    return status;
  }
  try {
    using _mending = new IncomingMending(control, output, args.recover);
    const incoming = control.migrateIncoming(args.uri!);
    const uri = formatUri(await incoming.listening);
    output.event({ event: "LISTENING", data: { uri } });
    output.say(`Waiting for a machine on ${uri}`);
    const info = await followIncoming(incoming, output);
    output.result(info, place.headline());
    return await place.stay(interrupt);
  } catch (error) {
    output.failure(error);
    output.result(control.info(), "Not received: the machine is the source's");
    return error instanceof CancelledError && interrupt.isInterrupted ? INTERRUPTED : 1;
  }
}

/** Where a machine goes. */
interface Place extends AsyncDisposable {
  readonly target: IncomingTarget;
  /** The machine, as soon as there is one that runs here. */
  readonly machine: Machine | undefined;
  /** Gives the machine to whom it is sent on to, once it is here. */
  readonly source?: (() => OutgoingMachine) | undefined;
  /** Whether what arrives is to run. */
  readonly arrival?: Arrival;
  /** How fast its RAM is written, if it runs. */
  readonly dirtying?: QmpSessionOptions["dirtying"];
  /** What is said once the machine is here. */
  headline(): string;
  /** What is still to be done then. @returns The exit status. */
  stay(interrupt: Interrupt): Promise<number>;
}

async function makePlace(args: ReceiveArguments, output: Output): Promise<Place> {
  const { save, format } = args;
  if (args.guests.length > 0) return await RunningPlace.create(args, output);
  if (save === undefined) return new ImagePlace(() => Promise.resolve(), "thrown away");
  return new ImagePlace((image) => saveImage(image, save, format), `saved as ${save}`);
}

/** A place for an image. */
class ImagePlace implements Place {
  readonly target: ImageTarget;
  readonly machine = undefined;

  constructor(keep: (image: MachineImage) => Promise<void>, private readonly done: string) {
    this.target = new ImageTarget(keep);
  }

  headline(): string {
    const { configuration, ram, sections } = this.target.image;
    return `Received ${configuration.machine} (${formatBytes(ram.length)} of RAM, ` +
      `${sections.length} sections of device state): ${this.done}`;
  }

  stay(): Promise<number> {
    return Promise.resolve(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** A machine that runs here. */
class RunningPlace implements Place {
  readonly target: MachineTarget;
  readonly dirtying = lateDirtying(() => this.#dirtying);
  readonly arrival: Arrival = { startsRunning: true };
  #machine: Machine | undefined;
  #dirtying: MachineDirtying | undefined;

  private constructor(
    private readonly args: ReceiveArguments,
    private readonly output: Output,
    machine: Machine | undefined,
  ) {
    const vcpus = guestSpecs(args.guests, args);
    const factory: MachineOrFactory = async ({ machine: name, targetPageBits }, blocks) => {
      const ram = GuestRam.create(blocks, { pageSize: targetPageSize(targetPageBits) });
      await this[Symbol.asyncDispose](); // one that did not arrive
      return this.#has(await Machine.create({ name, ram, vcpus }));
    };
    const source = machine ? this.#has(machine) : factory;
    this.target = new MachineTarget(source, () => this.#dirtying, this.arrival);
  }

  #has(machine: Machine): Machine {
    this.#dirtying = new MachineDirtying(machine, this.args.dirtyLog);
    return this.#machine = machine;
  }

  get machine(): Machine | undefined {
    return this.#machine;
  }

  get source(): (() => OutgoingMachine) | undefined {
    const dirtying = this.#dirtying;
    const state = this.#machine?.runState ?? "prelaunch";
    if (!dirtying || state === "prelaunch" || state === "inmigrate") return undefined;
    return () => dirtying.source();
  }

  /** With `--ram` the machine is made before the stream comes, which is faster; otherwise by its list. */
  static async create(args: ReceiveArguments, output: Output): Promise<RunningPlace> {
    const vcpus = guestSpecs(args.guests, args);
    const machine = args.ram === undefined ? undefined : await Machine.create({
      name: MACHINE_NAME,
      ram: { [RAM_BLOCK]: args.ram },
      vcpus,
    });
    return new RunningPlace(args, output, machine);
  }

  headline(): string {
    const { name, ram, runState } = this.target.machine;
    return `Received ${name} (${formatBytes(ram.length)} of RAM): it is ${runState} here`;
  }

  /** The machine is only here: it runs until somebody ends it. */
  async stay(interrupt: Interrupt): Promise<number> {
    const { run } = this.args;
    const { machine } = this.target;
    if (!interrupt.isInterrupted) {
      this.output.say(await describeGuest(machine));
      this.output.say(
        run === undefined ? "Ctrl-C ends it" : `It ends in ${formatDuration(run)} (--run)`,
      );
    }
    const ends: Promise<unknown>[] = [interrupt.happened, machine.failed];
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (run !== undefined) {
      ends.push(new Promise<void>((resolve) => timer = setTimeout(resolve, run)));
    }
    try {
      await Promise.race(ends);
      return 0;
    } catch (error) {
      this.output.failure(error);
      return 1;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dirtying?.[Symbol.asyncDispose]();
    await this.#machine?.[Symbol.asyncDispose]();
  }
}
