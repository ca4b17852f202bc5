/**
 * QEMU's devices as tests use them: loaded from bytes and saved again.
 *
 * @module
 */
import { loadState } from "../../src/vmstate/load_state.ts";
import { saveState } from "../../src/vmstate/save_state.ts";
import type { VmsdJson } from "../../src/vmstate/vmsd_json.ts";
import type { VMStateFor } from "../../src/vmstate/vmstate.ts";
import type { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { hex } from "./hex.ts";
import * as devices from "./qemu_devices.ts";

/** A declared device and how to make its state. */
export interface Declared {
  /** Loads the section, saves the state, and says what it is. */
  again(reader: ByteReader, versionId: number): Promise<{ bytes: string; json: VmsdJson }>;
}

/** A device with its description and a way to make its state. */
export function declared<S extends object>(description: VMStateFor<S>, create: () => S): Declared {
  return {
    async again(reader, versionId) {
      const state = create();
      await loadState(reader, description, state, versionId);
      const writer = new ByteWriter();
      const json = saveState(writer, description, state);
      return { bytes: hex(writer.take()), json };
    },
  };
}

/** Those of QEMU's devices that `qemu_devices.ts` declares, by the names of their sections. */
export const declaredDevices: Readonly<Record<string, Declared>> = {
  "timer": declared(devices.timers, () => devices.timers.create()),
  "cpu_common": declared(devices.cpuCommon, () => devices.cpuCommon.create()),
  "globalstate": declared(devices.globalState, () => devices.globalState.create()),
  "PCIBUS": declared(devices.pciBus, () => devices.pciBus.create()),
  "i8259": declared(devices.pic, () => devices.pic.create()),
  "i8254": declared(devices.pit, () => devices.pit.create()),
  "fw_cfg": declared(devices.fwCfg, () => devices.fwCfg.create()),
  "mc146818rtc": declared(devices.rtc, () => devices.rtc.create()),
  "hpet": declared(devices.hpet, () => devices.hpet.create()),
  "serial": declared(devices.serial, () => devices.serial.create()),
  "fdc": declared(devices.floppy, () => {
    const state = devices.floppy.create();
    state.state.num_floppies = 2;
    return state;
  }),
  "pckbd": declared(devices.keyboard, () => devices.keyboard.create()),
  "dma": declared(devices.dma, () => devices.dma.create()),
  "pcspk": declared(devices.speaker, () => devices.speaker.create()),
  "i2c_bus": declared(devices.i2cBus, () => devices.i2cBus.create()),
  "uefi-vars-sysbus": declared(devices.uefiVariables, () => devices.uefiVariables.create()),
};
