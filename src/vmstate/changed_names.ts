/**
 * Names that QEMU changed without changing the bytes: what `scripts/vmstate-static-checker.py` knows of
 * them. Both directions count.
 *
 * @module
 */

type Pair = readonly [string, string];

/** Kinds of device. */
const SECTIONS: readonly Pair[] = [
  ["ICH9 LPC", "ICH9-LPC"],
  ["e1000-82540em", "e1000"],
];

const PCI_DEVICE: readonly Pair[] = [["dev", "parent_obj"]];
const PCI_DEV: readonly Pair[] = [["pci_dev", "parent_obj"]];
const CARD: readonly Pair[] = [["card", "parent_obj"]];
const PCIE_PORT: readonly Pair[] = [
  ["port.br.dev", "parent_obj.parent_obj.parent_obj"],
  ["port.br.dev.exp.aer_log", "parent_obj.parent_obj.parent_obj.exp.aer_log"],
];
const PCIE_CLASS: readonly Pair[] = [["PCIDevice", "PCIEDevice"]];
const POINTER_QUEUE: readonly Pair[] = [["usb-ptr-queue", "HIDPointerEventQueue"]];

/** Fields by the description they are in, and descriptions by the section they are in. */
const FIELDS: ReadonlyMap<string, readonly Pair[]> = new Map(Object.entries({
  "apic": [["timer", "timer_expiry"]],
  "cirrus_vga": [["hw_cursor_x", "vga.hw_cursor_x"], ["hw_cursor_y", "vga.hw_cursor_y"]],
  "e1000": PCI_DEVICE,
  "ehci": [["dev", "pcidev"]],
  "I440FX": PCI_DEVICE,
  "ich9_ahci": CARD,
  "ich9-ahci": [["ahci", "ich9_ahci"]],
  "ioh3420": PCIE_CLASS,
  "ioh-3240-express-root-port": PCIE_PORT,
  "lsiscsi": PCI_DEVICE,
  "mch": [["d", "parent_obj"]],
  "pci_bridge": [["bridge.dev", "parent_obj"], ["bridge.dev.shpc", "shpc"]],
  "pcnet": PCI_DEV,
  "PIIX3": [["pci_irq_levels", "pci_irq_levels_vmstate"]],
  "piix4_pm": [
    ...PCI_DEVICE,
    ["pci0_status", "acpi_pci_hotplug.acpi_pcihp_pci_status[0x0]"],
    ["pm1a.sts", "ar.pm1.evt.sts"],
    ["pm1a.en", "ar.pm1.evt.en"],
    ["pm1_cnt.cnt", "ar.pm1.cnt.cnt"],
    ["tmr.timer", "ar.tmr.timer"],
    ["tmr.overflow_time", "ar.tmr.overflow_time"],
    ["gpe", "ar.gpe"],
  ],
  "qxl": [["num_surfaces", "ssd.num_surfaces"]],
  "rtl8139": PCI_DEVICE,
  "spapr_pci": [
    ["dma_liobn[0]", "mig_liobn"],
    ["mem_win_addr", "mig_mem_win_addr"],
    ["mem_win_size", "mig_mem_win_size"],
    ["io_win_addr", "mig_io_win_addr"],
    ["io_win_size", "mig_io_win_size"],
  ],
  "usb-ccid": [["abProtocolDataStructure", "abProtocolDataStructure.data"]],
  "usb-host": PCI_DEVICE,
  "usb-mouse": POINTER_QUEUE,
  "usb-tablet": POINTER_QUEUE,
  "vmware_vga": CARD,
  "vmware_vga_internal": [["depth", "new_depth"]],
  "x3130-upstream": PCIE_CLASS,
  "xhci": PCI_DEV,
  "xio3130-downstream": PCIE_CLASS,
  "xio3130-express-downstream-port": PCIE_PORT,
  "xio3130-express-upstream-port": [
    ["br.dev", "parent_obj.parent_obj"],
    ["br.dev.exp.aer_log", "parent_obj.parent_obj.exp.aer_log"],
  ],
}));

function isPair(pairs: readonly Pair[], a: string, b: string): boolean {
  return pairs.some(([old, now]) => (a === old && b === now) || (a === now && b === old));
}

/**
 * Whether two names mean the same.
 * @param where The description that both fields, or the section that both descriptions, are in.
 */
export function sameName(where: string, a: string, b: string): boolean {
  return a === b || isPair(FIELDS.get(where) ?? [], a, b);
}

/** The other name that a kind of device had or has. */
export function otherSectionName(section: string): string | undefined {
  const pair = SECTIONS.find((names) => names.includes(section));
  return pair && (pair[0] === section ? pair[1] : pair[0]);
}
