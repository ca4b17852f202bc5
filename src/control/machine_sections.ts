/**
 * The sections of a running machine: RAM, what it was doing, its vCPUs, its devices.
 *
 * @module
 */
import type { Machine } from "../machine/machine.ts";
import type { RunState } from "../machine/run_state.ts";
import type { Vcpu } from "../machine/vcpu.ts";
import { RAM_SECTION } from "../ram/flags.ts";
import { GlobalState } from "../savevm/global_state.ts";
import { type DeviceSection, type PlainHandler, SectionRegistry } from "../savevm/registry.ts";
import { VMStateFor } from "../vmstate/vmstate.ts";

/** The most a vCPU's state takes besides RAM, in bytes. */
const VCPU_STATE_MAX = 64 * 1024 ** 2;

/** A machine's registry, and the parts of it that are looked at. */
export interface MachineSections {
  readonly registry: SectionRegistry<null>;
  /** How elements refer to the `ram` section. */
  readonly ramSectionId: number;
  readonly globalState: GlobalState;
  /** One for each vCPU: a machine is not whole without them. */
  readonly vcpus: readonly DeviceSection[];
}

/**
 * Registers everything a machine has.
 * @param machine The machine.
 * @param runState What it was doing before it was stopped.
 * @throws {TypeError} If a device's description is none.
 */
export function machineSections(machine: Machine, runState: () => RunState): MachineSections {
  const registry = new SectionRegistry<null>();
  const { idstr, instanceId, versionId } = RAM_SECTION;
  const ram = registry.registerLive(idstr, null, { instanceId, versionId });
  const globalState = new GlobalState(runState);
  registry.registerPlain("globalstate", globalState, { instanceId: 0 });
  const vcpus = machine.vcpus.map((vcpu) =>
    registry.registerPlain("vcpu", vcpuHandler(vcpu), { instanceId: vcpu.index })
  );
  for (const { description, instance, instanceId } of machine.devices) {
    if (!(description instanceof VMStateFor)) {
      throw new TypeError(`Device ${description.name}: its description was not made by vmstate()`);
    }
    registry.register(description, instance, instanceId === undefined ? {} : { instanceId });
  }
  return { registry, ramSectionId: ram.sectionId, globalState, vcpus };
}

/** A vCPU's payload: a be32 length and as many bytes, which only its guest understands. */
function vcpuHandler(vcpu: Vcpu): PlainHandler {
  return {
    versionId: 1,
    minimumVersionId: 1,
    save(writer) {
      const state = vcpu.state();
      writer.be32(state.length).bytes(state);
    },
    async load(reader) {
      const length = await reader.be32("a vCPU state's length");
      await vcpu.load(await reader.bytes(length, VCPU_STATE_MAX, "a vCPU's state"));
    },
  };
}
