/**
 * Some of QEMU's devices, declared as an embedder would declare their own: what they look like is read
 * from the JSON that QEMU sends and from its documentation of each device's registers.
 *
 * @module
 */
import { array, varray } from "../../src/vmstate/arrays.ts";
import { buffer, unused, vbuffer } from "../../src/vmstate/buffers.ts";
import { int32Equal, uint8Equal } from "../../src/vmstate/checked_scalars.ts";
import { qtailq } from "../../src/vmstate/lists.ts";
import {
  bool,
  int32,
  int64,
  timer,
  uint16,
  uint32,
  uint64,
  uint8,
} from "../../src/vmstate/scalars.ts";
import { struct, withTmp } from "../../src/vmstate/structs.ts";
import { at, validate } from "../../src/vmstate/unbound.ts";
import { vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";

/** The machine's clocks. */
export const timers = vmstate("timer", {
  version: 2,
  minimumVersion: 1,
  fields: {
    cpu_ticks_offset: int64(),
    $unused: unused(8),
    cpu_clock_offset: int64({ since: 2 }),
  },
});

/** What every CPU has. */
export const cpuCommon = vmstate("cpu_common", {
  fields: { halted: uint32(), interrupt_request: uint32() },
});

/** The state the machine was in before it was stopped. */
export const globalState = vmstate("globalstate", {
  fields: {
    size: uint32(),
    runstate: buffer(32),
    has_vm_was_suspended: uint8(),
    vm_was_suspended: uint8(),
    unused: buffer(66),
  },
});

/** The PCI bus: its interrupt lines. */
export const pciBus = vmstate("PCIBUS", {
  fields: { nirq: int32Equal(), irq_count: varray(int32(), { count: "nirq" }) },
  create: () => ({ nirq: 4, irq_count: new Int32Array(4) }),
});

/** An interrupt controller. */
export const pic = vmstate("i8259", {
  fields: {
    last_irr: uint8(),
    irr: uint8(),
    imr: uint8(),
    isr: uint8(),
    priority_add: uint8(),
    irq_base: uint8(),
    read_reg_select: uint8(),
    poll: uint8(),
    special_mask: uint8(),
    init_state: uint8(),
    auto_eoi: uint8(),
    rotate_on_auto_eoi: uint8(),
    special_fully_nested_mode: uint8(),
    init4: uint8(),
    single_mode: uint8(),
    elcr: uint8(),
  },
});

const pitChannel = vmstate("pit channel", {
  version: 2,
  fields: {
    count: int32(),
    latched_count: uint16(),
    count_latched: uint8(),
    status_latched: uint8(),
    status: uint8(),
    read_state: uint8(),
    write_state: uint8(),
    write_latch: uint8(),
    rw_mode: uint8(),
    mode: uint8(),
    bcd: uint8(),
    gate: uint8(),
    count_load_time: int64(),
    next_transition_time: int64(),
  },
});

/** A timer chip's state with what QEMU keeps beside it. */
export interface Pit {
  channels: (ReturnType<typeof pitChannel.create> & { irq_disabled: number })[];
}

/** A timer chip: two values of its first channel stand around the channels. */
export const pit = vmstateOf<Pit>("i8254", {
  version: 3,
  minimumVersion: 2,
  fields: {
    $off: at(
      (pit) => pit.channels[0]!,
      "irq_disabled",
      uint32({ name: "channels[0].irq_disabled", since: 3 }),
    ),
    channels: array(struct(pitChannel), 3, { since: 2 }),
    $next: at(
      (pit) => pit.channels[0]!,
      "next_transition_time",
      int64({ name: "channels[0].next_transition_time" }),
    ),
  },
  create: () => ({
    channels: [0, 1, 2].map(() => ({ ...pitChannel.create(), irq_disabled: 0 })),
  }),
});

interface FwCfg {
  cur_entry: number;
  cur_offset: number;
  dma_addr: bigint;
  table_mr_size: bigint;
  linker_mr_size: bigint;
  rsdp_mr_size: bigint;
}

/** Where the firmware reads its configuration: version 1 had 16 bits for the offset. */
export const fwCfg = vmstateOf<FwCfg>("fw_cfg", {
  version: 2,
  minimumVersion: 1,
  fields: {
    cur_entry: uint16(),
    $oldOffset: at(
      (state) => state,
      "cur_offset",
      uint16({ exists: (_, version) => version === 1 }),
    ),
    cur_offset: uint32({ since: 2 }),
  },
  subsections: [
    vmstate("fw_cfg/dma", { version: 0, fields: { dma_addr: uint64() } }),
    vmstate("fw_cfg/acpi_mr", {
      minimumVersion: 1,
      fields: { table_mr_size: uint64(), linker_mr_size: uint64(), rsdp_mr_size: uint64() },
    }),
  ],
  create: () => ({
    cur_entry: 0,
    cur_offset: 0,
    dma_addr: 0n,
    table_mr_size: 0n,
    linker_mr_size: 0n,
    rsdp_mr_size: 0n,
  }),
});

/** The clock with the battery. */
export const rtc = vmstate("mc146818rtc", {
  version: 3,
  minimumVersion: 1,
  fields: {
    cmos_data: buffer(128),
    cmos_index: uint8(),
    $u1: unused(7 * 4),
    periodic_timer: timer(),
    next_periodic_time: int64(),
    $u2: unused(3 * 8),
    irq_coalesced: uint32({ since: 2 }),
    period: uint32({ since: 2 }),
    base_rtc: uint64({ since: 3 }),
    last_update: uint64({ since: 3 }),
    offset: int64({ since: 3 }),
    update_timer: timer({ since: 3 }),
    next_alarm_time: uint64({ since: 3 }),
  },
});

const hpetTimer = vmstate("hpet_timer", {
  minimumVersion: 1,
  fields: {
    tn: uint8(),
    config: uint64(),
    cmp: uint64(),
    fsb: uint64(),
    period: uint64(),
    wrap_flag: uint8(),
    qemu_timer: timer(),
  },
});

/** The newer timer chip: as many timers as it says. */
export const hpet = vmstate("hpet", {
  version: 2,
  minimumVersion: 1,
  fields: {
    config: uint64(),
    isr: uint64(),
    hpet_counter: uint64(),
    num_timers_save: uint8(),
    $enough: validate((hpet: { num_timers_save: number }) => hpet.num_timers_save >= 3),
    timer: varray(struct(hpetTimer), { count: "num_timers_save", max: 32 }),
  },
});

/** A serial port, whose section is a struct of the same name. */
export const serial = vmstate("serial", {
  version: 3,
  minimumVersion: 2,
  fields: {
    state: struct(vmstate("serial", {
      version: 3,
      minimumVersion: 2,
      fields: {
        divider: uint16({ since: 2 }),
        rbr: uint8(),
        ier: uint8(),
        iir: uint8(),
        lcr: uint8(),
        mcr: uint8(),
        lsr: uint8(),
        msr: uint8(),
        scr: uint8(),
        fcr_vmstate: uint8({ since: 3 }),
      },
    })),
  },
});

const floppyDrive = vmstate("fdrive", {
  fields: { head: uint8(), track: uint8(), sect: uint8() },
  subsections: [vmstate("fdrive/media_rate", { fields: { media_rate: uint8() } })],
});

/** The floppy controller: its drives have subsections, so the JSON lists each. */
export const floppy = vmstate("fdc", {
  version: 2,
  minimumVersion: 2,
  fields: {
    state: struct(vmstate("fdc", {
      version: 2,
      minimumVersion: 2,
      fields: {
        sra: uint8(),
        srb: uint8(),
        dor_vmstate: uint8(),
        tdr: uint8(),
        dsr: uint8(),
        msr: uint8(),
        status0: uint8(),
        status1: uint8(),
        status2: uint8(),
        fifo: array(uint8(), 512),
        data_pos: uint32(),
        data_len: uint32(),
        data_state: uint8(),
        data_dir: uint8(),
        eot: uint8(),
        timer0: uint8(),
        timer1: uint8(),
        precomp_trk: uint8(),
        config: uint8(),
        lock: uint8(),
        pwrd: uint8(),
        num_floppies: uint8Equal(),
        drives: array(struct(floppyDrive), 2),
      },
    })),
  },
});

/** The keyboard controller. */
export const keyboard = vmstate("pckbd", {
  version: 3,
  minimumVersion: 3,
  fields: {
    kbd: struct(vmstate("pckbd", {
      version: 3,
      minimumVersion: 3,
      fields: { write_cmd: uint8(), status: uint8(), mode: uint8(), pending_tmp: uint8() },
      subsections: [
        vmstate("pckbd_outport", { fields: { outport: uint8() }, needed: () => false }),
        vmstate("pckbd/extended_state", {
          version: 0,
          fields: {
            migration_flags: uint32(),
            obsrc: uint32(),
            obdata: uint8(),
            cbdata: uint8(),
          },
        }),
      ],
    })),
  },
});

const variable = vmstate("uefi-variable", {
  version: 0,
  fields: {
    guid: array(uint8(), 16, { name: "guid.data" }),
    name_size: uint32(),
    data_size: uint32(),
    attributes: uint32(),
    name: vbuffer({ size: "name_size", max: 4096 }),
    data: vbuffer({ size: "data_size", max: 65536 }),
    time: struct(vmstate("uefi-time", {
      version: 0,
      fields: {
        year: uint16(),
        month: uint8(),
        day: uint8(),
        hour: uint8(),
        minute: uint8(),
        second: uint8(),
        nanosecond: uint32(),
      },
    })),
  },
});
const policy = vmstate("uefi-var-policy", {
  version: 0,
  fields: { entry_size: uint32(), entry: vbuffer({ size: "entry_size", max: 65536 }) },
});

/** The firmware's variables: two lists. */
export const uefiVariables = vmstate("uefi-vars-sysbus", {
  version: 0,
  fields: {
    state: struct(vmstate("uefi-vars", {
      version: 0,
      fields: {
        sts: uint16(),
        buf_size: uint32(),
        buf_addr_lo: uint32(),
        buf_addr_hi: uint32(),
        pio_xfer_offset: uint32(),
        pio_xfer_buffer: vbuffer({ size: "buf_size", max: 65536 }),
        end_of_dxe: bool(),
        ready_to_boot: bool(),
        exit_boot_service: bool(),
        policy_locked: bool(),
        used_storage: uint64(),
        variables: qtailq(variable, { max: 1000 }),
        var_policies: qtailq(policy, { max: 1000 }),
      },
    })),
  },
});

/** A register of the floating-point unit, which is sent as mantissa and exponent. */
export const floatRegister = vmstateOf<{ bits: bigint }>("fpreg", {
  version: 0,
  fields: {
    $tmp: withTmp(
      vmstate("fpreg_tmp", { version: 0, fields: { tmp_mant: uint64(), tmp_exp: uint16() } }),
      {
        save: (reg) => ({
          tmp_mant: BigInt.asUintN(64, reg.bits),
          tmp_exp: Number(reg.bits >> 64n),
        }),
        load: (reg, { tmp_mant, tmp_exp }) => {
          reg.bits = BigInt(tmp_exp) << 64n | tmp_mant;
        },
      },
    ),
  },
});

/** A DMA controller. */
export const dma = vmstate("dma", {
  minimumVersion: 1,
  fields: {
    command: uint8(),
    mask: uint8(),
    flip_flop: uint8(),
    dshift: int32(),
    regs: array(
      struct(vmstate("dma_regs", {
        fields: {
          now: array(int32(), 2),
          base: array(uint16(), 2),
          mode: uint8(),
          page: uint8(),
          pageh: uint8(),
          dack: uint8(),
          eop: uint8(),
        },
      })),
      4,
      { since: 1 },
    ),
  },
});

/** A speaker. */
export const speaker = vmstate("pcspk", {
  fields: { data_on: uint8(), dummy_refresh_clock: uint8() },
});

/** A bus of small chips. */
export const i2cBus = vmstate("i2c_bus", { fields: { saved_address: uint8() } });
