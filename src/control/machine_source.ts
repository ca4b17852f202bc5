/**
 * A running machine as the source of a migration.
 *
 * @module
 */
import type { DirtyLogChoice } from "../dirty/choose.ts";
import type { DirtyLogKind } from "../dirty/dirty_log.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { Machine } from "../machine/machine.ts";
import type { RunState } from "../machine/run_state.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import { jsonText } from "../vmstate/vmsd_json.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import type { Configuration } from "../wire/configuration.ts";
import { ElementType, writeFullSectionHeader, writeSectionFooter } from "../wire/section.ts";
import { configurationJson } from "./configuration_json.ts";
import { type MachineSections, machineSections } from "./machine_sections.ts";
import { VcpuDirtyLimit } from "./dirty_limit.ts";
import type { DirtyLogTurns } from "./dirty_log_turns.ts";
import { MachineLog } from "./machine_log.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";

/** Makes a machine an {@linkcode OutgoingMachine}. */
export class MachineSource implements OutgoingMachine {
  readonly configuration: Configuration;
  readonly uuid?: Uint8Array<ArrayBuffer>;
  readonly ram: GuestRam;
  readonly blocks: readonly RamBlockEntry[];
  readonly sendsSwitchoverStart: boolean = true;
  readonly dirtyLimit: VcpuDirtyLimit;
  readonly #sections: MachineSections;
  #log: MachineLog | undefined;
  /** What the machine was doing before it was stopped here. */
  #before: RunState;

  /**
   * @param machine What is moved.
   * @param wantedLog The maker of the dirty log, when the user insists on one.
   * @param others Who else reads the machine's dirty log: the turns, and the limits of its vCPUs.
   */
  constructor(
    private readonly machine: Machine,
    private readonly wantedLog?: DirtyLogKind,
    private readonly others: { turns?: DirtyLogTurns; dirtyLimit?: VcpuDirtyLimit } = {},
  ) {
    this.dirtyLimit = others.dirtyLimit ?? new VcpuDirtyLimit(machine.vcpus);
    this.configuration = { machine: machine.name };
    if (machine.uuid) this.uuid = machine.uuid;
    this.ram = machine.ram;
    this.blocks = machine.ram.blocks.map(({ name, length }) => ({ name, length }));
    this.#before = machine.runState;
    this.#sections = machineSections(machine, () => this.#before);
  }

  get ramSectionId(): number {
    return this.#sections.ramSectionId;
  }

  get running(): boolean {
    return this.machine.running;
  }

  get blockers(): readonly string[] {
    return this.#sections.registry.blockers;
  }

  pendingUnplugs(): string[] {
    return this.#sections.registry.devices.filter((device) => device.unplugPending())
      .map(({ idstr, instanceId }) => instanceId === 0 ? idstr : `${idstr}/${instanceId}`);
  }

  markAllDirty(): void {
    for (const block of this.ram.blocks) block.dirty.fill(0, block.pageCount, true);
  }

  async startDirtyLog(): Promise<DirtyLogChoice> {
    const log = new MachineLog(this.machine, this.wantedLog);
    await this.others.turns?.beginMigration();
    this.#log = log;
    await log.start();
    return log.choice;
  }

  async stopDirtyLog(): Promise<void> {
    await this.#log?.stop();
    this.#log = undefined;
    this.others.turns?.endMigration();
  }

  throttle(percent: number): void {
    this.machine.throttle(percent);
  }

  async stop(): Promise<void> {
    this.#before = this.machine.runState;
    await this.machine.stop("finish-migrate");
  }

  async runOn(): Promise<void> {
    if (this.machine.runState !== "finish-migrate") return;
    if (this.#before === "running") await this.machine.start();
    else await this.machine.stop(this.#before);
  }

  async handedOver(): Promise<void> {
    await this.machine.stop("postmigrate");
  }

  saveDevices(writer: ByteWriter, sent: Configuration): Uint8Array {
    const devices = [];
    for (const section of this.#sections.registry.devices) {
      if (!section.needed()) continue;
      const type = ElementType.SECTION_FULL;
      writeFullSectionHeader(writer, { type, ...section });
      devices.push(section.save(writer));
      writeSectionFooter(writer, section.sectionId);
    }
    const configuration = configurationJson(sent);
    const description = { configuration, page_size: this.ram.pageSize, devices };
    return new TextEncoder().encode(jsonText(description));
  }
}
