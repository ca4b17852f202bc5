/**
 * Ferry's machines for a QEMU as destination. A running machine of Ferry's has vCPUs that no QEMU knows. But
 * QEMU's machine `none`, which has RAM and nothing else, takes a machine of that name with the same RAM and
 * no vCPU: so a stock QEMU is the judge of what arrives.
 *
 * @module
 */
import { MachineSource } from "../../src/control/machine_source.ts";
import type { DirtyLogKind } from "../../src/dirty/dirty_log.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import type { Configuration } from "../../src/wire/configuration.ts";
import type { ByteWriter } from "../../src/wire/byte_writer.ts";

/** How a {@linkcode NoneSource} is made. */
export interface NoneSourceOptions {
  /** Who takes it. @default {"10.0"} */
  readonly version?: QemuVersion;
  readonly log?: DirtyLogKind;
  /** A machine without vCPUs, whose devices are sent in place of the moved one's ({@linkcode bareNone}). */
  readonly bare?: Machine;
  /** As `MachineSource` has it. */
  readonly dirtyLimit?: MachineSource["dirtyLimit"];
}

/** A machine that a QEMU with `-machine none` takes. */
export class NoneSource extends MachineSource {
  override readonly sendsSwitchoverStart: boolean;
  readonly #bare: MachineSource | undefined;

  constructor(machine: Machine, options: NoneSourceOptions = {}) {
    const { version = "10.0", log, bare, dirtyLimit } = options;
    super(machine, log, dirtyLimit && { dirtyLimit });
    this.sendsSwitchoverStart = version !== "7.2";
    this.#bare = bare && new MachineSource(bare);
  }

  override saveDevices(writer: ByteWriter, sent: Configuration): Uint8Array {
    return this.#bare ? this.#bare.saveDevices(writer, sent) : super.saveDevices(writer, sent);
  }
}

/** A running machine that has no vCPUs. */
export async function bareNone(): Promise<Machine> {
  const bare = await Machine.create({ name: "none", ram: { ram: 4096 } });
  await bare.start();
  return bare;
}
