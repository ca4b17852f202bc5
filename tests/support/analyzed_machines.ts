/**
 * The machines whose streams `analyze` is held against QEMU's own script with: several types, architectures
 * and releases, with many kinds of device.
 *
 * They carry nobody's code but ours: no firmware, no option ROMs.
 *
 * @module
 */
import type { QemuOptions } from "./qemu.ts";
import type { QemuTarget, QemuVersion } from "./qemu_program.ts";
import { SweepGuest } from "./sweep_guest.ts";

/** One machine. */
export interface AnalyzedMachine {
  readonly version: QemuVersion;
  readonly target: QemuTarget;
  /** How to start it. */
  readonly options: Omit<QemuOptions, "version" | "target">;
  /** The block that is the guest's memory. */
  readonly ram: string;
}

const guest = new SweepGuest({ start: 0x10000, size: 0x20000, fill: 64 });
const x86 = { ram: "1M", guest, delivery: "firmware" } as const;
const disk = (
  id: string,
) => ["-blockdev", `driver=null-co,read-zeroes=on,size=1048576,node-name=${id}`];
/** NVMe is not among them: QEMU refuses to migrate it. */
const q35Devices = [
  ...disk("d0"),
  ...["-device", "virtio-blk-pci,drive=d0", "-device", "virtio-net-pci,romfile="],
  ...["-device", "virtio-rng-pci", "-device", "virtio-balloon-pci", "-device", "virtio-gpu-pci"],
  ...["-device", "virtio-scsi-pci", "-device", "virtio-serial-pci", "-device", "virtio-tablet-pci"],
  ...["-device", "qemu-xhci", "-device", "usb-kbd", "-device", "usb-tablet"],
  ...["-device", "ich9-usb-ehci1", "-device", "e1000e,romfile=", "-device", "pcie-root-port"],
  ...["-smp", "2"],
];

/** All of them, by their names. */
export const ANALYZED_MACHINES: Readonly<Record<string, AnalyzedMachine>> = {
  "pc-10.0": {
    ...{ version: "10.0", target: "x86_64", ram: "pc.ram" },
    options: { ...x86, machine: "pc-i440fx-10.0" },
  },
  "pc-7.2": {
    ...{ version: "7.2", target: "x86_64", ram: "pc.ram" },
    options: { ...x86, machine: "pc-i440fx-7.2" },
  },
  "q35-10.0": {
    ...{ version: "10.0", target: "x86_64", ram: "pc.ram" },
    options: { ...x86, machine: "pc-q35-10.0", args: q35Devices },
  },
  "q35-7.2": {
    ...{ version: "7.2", target: "x86_64", ram: "pc.ram" },
    options: { ...x86, machine: "pc-q35-7.2", args: q35Devices },
  },
  "microvm-10.0": {
    ...{ version: "10.0", target: "x86_64", ram: "microvm.ram" },
    options: {
      ...{ ...x86, machine: "microvm" },
      args: [...disk("d0"), "-device", "virtio-blk-device,drive=d0"],
    },
  },
  "isapc-10.0": {
    ...{ version: "10.0", target: "x86_64", ram: "pc.ram" },
    options: { ...x86, machine: "isapc", args: ["-device", "ne2k_isa"] },
  },
  "aarch64-virt-10.0": {
    ...{ version: "10.0", target: "aarch64", ram: "mach-virt.ram" },
    options: {
      ...{ machine: "virt-10.0", ram: "4M", paused: true },
      args: ["-cpu", "cortex-a57", "-device", "virtio-net-pci,romfile="],
    },
  },
  "riscv64-virt-10.0": {
    ...{ version: "10.0", target: "riscv64", ram: "riscv_virt_board.ram" },
    options: {
      ...{ machine: "virt", ram: "4M", paused: true },
      args: ["-bios", "none", "-device", "virtio-net-pci,romfile="],
    },
  },
};
