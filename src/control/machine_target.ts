/**
 * A machine as the destination of a migration: what arrives runs here.
 *
 * @module
 */
import { markUntouched } from "../dirty/untouched.ts";
import { IncompatibleError, StateError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { Machine } from "../machine/machine.ts";
import { targetPageSize } from "../machine/page.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { SectionLoader } from "../savevm/load.ts";
import type { Configuration } from "../wire/configuration.ts";
import { leavesRamOut, requireSameUuid } from "./agreement.ts";
import { ProvidedRam } from "./provided_ram.ts";
import type { FullSectionHeader } from "../wire/section.ts";
import type { IncomingTarget, PostcopyGuest } from "./incoming_target.ts";
import { type MachineSections, machineSections } from "./machine_sections.ts";

/** A machine, or how to make one once the stream has said how much RAM it has. */
export type MachineOrFactory =
  | Machine
  | ((configuration: Configuration, blocks: readonly RamBlockEntry[]) => Promise<Machine>);

/** Who else touches a machine's RAM, and is to let it be while the machine arrives. */
export interface RamOwner {
  /** It begins to arrive. @returns When nobody else touches its RAM. */
  arriving(): Promise<void>;
  /** It has arrived, or will not. */
  arrived(): void;
}

/** What becomes of a machine that arrives. */
export interface Arrival {
  /** Whether it runs here if it ran there; otherwise it is paused until it is started. */
  startsRunning: boolean;
}

/** What channels of multifd say of a machine that has no UUID. */
const NO_UUID = new Uint8Array(16);

/** Makes a machine an {@linkcode IncomingTarget}. */
export class MachineTarget implements IncomingTarget {
  #configuration: Configuration | undefined;
  #machine: Machine | undefined;
  #sections: MachineSections | undefined;
  readonly #loaded = new Set<string>();
  /** Whether untouched pages were marked before the kernel was asked to provide all. */
  #markedUntouched = false;

  /**
   * @param source The machine that is to run.
   * @param owner Who else touches its RAM; asked when there is a machine.
   * @param arrival What becomes of it, which may change until it is here.
   */
  constructor(
    private readonly source: MachineOrFactory,
    private readonly owner?: () => RamOwner | undefined,
    private readonly arrival: Readonly<Arrival> = { startsRunning: true },
  ) {
    if (typeof source !== "function") this.#machine = source;
  }

  /** Of a machine that has none, all zeros; of one that is made for what comes, what comes. */
  get uuid(): Uint8Array | undefined {
    return this.#machine && (this.#machine.uuid ?? NO_UUID);
  }

  /** The machine. @throws {StateError} If there is none yet. */
  get machine(): Machine {
    if (!this.#machine) throw new StateError("The stream has no RAM section");
    return this.#machine;
  }

  async provideRam(): Promise<ProvidedRam | undefined> {
    if (!this.#machine || !isFresh(this.#machine)) return undefined;
    const provided = await ProvidedRam.begin(this.#machine.ram);
    this.#markedUntouched = provided !== undefined;
    return provided;
  }

  configuration(configuration: Configuration): void {
    this.#configuration = configuration;
    if (this.#machine) checkMachine(this.#machine, configuration);
  }

  async prepareRam(blocks: readonly RamBlockEntry[], _sectionId: number): Promise<GuestRam> {
    if (typeof this.source === "function") {
      this.#machine = await this.source(this.#configuration!, blocks);
      checkMachine(this.#machine, this.#configuration!);
    }
    const { machine } = this;
    checkBlocks(machine.ram, blocks);
    await this.owner?.()?.arriving();
    const stillMarked = this.#markedUntouched && isFresh(machine);
    await machine.stop("inmigrate");
    if (!stillMarked) markUntouched(machine.ram);
    for (const block of machine.ram.blocks) block.received.fill(0, block.pageCount, false);
    this.#sections = machineSections(machine, () => machine.runState);
    return machine.ram;
  }

  section(header: FullSectionHeader): SectionLoader {
    if (!this.#sections) throw new StateError("Device state before the RAM section");
    const section = this.#sections.registry.accept(header);
    if (section.kind === "live") {
      throw new IncompatibleError(`Section "${section.idstr}" is loaded by itself`);
    }
    return {
      load: async (reader) => {
        await section.load(reader, header.versionId);
        this.#loaded.add(`${section.idstr}/${section.instanceId}`);
      },
    };
  }

  switchoverStart(): void {}

  postcopyGuest(): PostcopyGuest {
    const { machine } = this;
    return {
      presence: machine.presence,
      askForPages: (presence) => machine.setChecks({ presence }),
      run: (takeOver) => this.complete(undefined, takeOver),
    };
  }

  async complete(_description: unknown, takeOver: () => void): Promise<boolean> {
    const { machine } = this;
    const { vcpus, globalState } = this.#sections!;
    for (const { idstr, instanceId } of vcpus) {
      if (!this.#loaded.has(`${idstr}/${instanceId}`)) {
        throw new IncompatibleError(`The stream has no state of vCPU ${instanceId}`, {
          advice: "Give both machines the same guests.",
        });
      }
    }
    const { loaded } = globalState;
    if (loaded === "running") {
      if (machine.runState !== "inmigrate") {
        throw new StateError(`The machine became ${machine.runState} while its state was loaded`);
      }
      takeOver();
      await (this.arrival.startsRunning ? machine.start() : machine.stop("paused"));
    } else {
      await machine.stop(loaded);
    }
    return machine.running;
  }

  ended(): void {
    this.owner?.()?.arrived();
  }

  /** The machine stays as it is, incoming and without a state to run from. */
  abandon(): Promise<void> {
    return Promise.resolve();
  }
}

function checkMachine({ name, ram, uuid }: Machine, configuration: Configuration): void {
  const { machine, targetPageBits } = configuration;
  if (leavesRamOut(configuration)) {
    throw new IncompatibleError(
      "The source leaves out RAM that is a file (x-ignore-shared), which this machine does not have",
      { advice: "Turn x-ignore-shared off on both sides; it is for receive --save." },
    );
  }
  if (name !== machine) {
    throw new IncompatibleError(`The stream is of a machine "${machine}", this one is "${name}"`, {
      advice: "Give both machines the same name.",
    });
  }
  requireSameUuid(configuration, uuid);
  const pageSize = targetPageSize(targetPageBits);
  if (ram.pageSize !== pageSize) {
    throw new IncompatibleError(`Pages of ${pageSize} bytes there and of ${ram.pageSize} here`);
  }
}

/** Whether no guest has run on it since it was made, or since it last received. */
function isFresh(machine: Machine): boolean {
  return machine.runState === "prelaunch" || machine.runState === "inmigrate";
}

function checkBlocks(ram: GuestRam, blocks: readonly RamBlockEntry[]): void {
  for (const { name, length } of blocks) {
    const block = ram.block(name);
    if (!block) {
      throw new IncompatibleError(`RAM block "${name}", which this machine does not have`);
    }
    if (block.length !== length) {
      throw new IncompatibleError(
        `RAM block "${name}" has ${length} bytes there and ${block.length} here`,
        { advice: "Give both machines the same RAM." },
      );
    }
  }
  const missing = ram.blocks.find(({ name }) => !blocks.some((block) => block.name === name));
  if (missing) throw new IncompatibleError(`The stream has no RAM block "${missing.name}"`);
}
