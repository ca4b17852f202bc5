/**
 * The x86 guest of a large machine: it fills RAM once with bytes that do not repeat within a page, then
 * touches little. A `B` on the serial port says each time that it runs.
 *
 * @module
 */
import {
  enterFlatMode,
  print,
  READY,
  startTimer,
  sweepForEver,
  tables,
} from "../../tests/support/sweep_program.ts";
import { littleEndian, rel8, X86Code } from "../../tests/support/x86_code.ts";
import { PAGE } from "./touch_plan.ts";

const START = 0x100000;
/** How much of its RAM the guest touches between two heartbeats, in bytes. */
const SWEPT = 256 * 1024;
/** Where a machine of this type has a hole for devices: RAM goes on above 4 GiB, out of the guest's reach. */
const LOW_RAM_MAX = 3 * 1024 ** 3;
const BOOT_SECTOR = { base: 0x7c00, size: 512, floppy: 1440 * 1024 };

/** The floppy disk from which a machine with so much RAM starts. */
export function bigFloppy(ram: number): Uint8Array<ArrayBuffer> {
  const sector = program(Math.min(ram, LOW_RAM_MAX) - 1024 ** 2)
    .padTo(BOOT_SECTOR.size - 2)
    .row("mark of a boot sector", 0x55, 0xaa);
  const image = new Uint8Array(BOOT_SECTOR.floppy);
  image.set(sector.build());
  return image;
}

function program(end: number): X86Code {
  const code = new X86Code(BOOT_SECTOR.base);
  enterFlatMode(code, 0);
  startTimer(code);
  code.row("mov edi, START", 0xbf, ...littleEndian(START, 4))
    .row("mov ebx, 1", 0xbb, ...littleEndian(1, 4))
    .row("mov ecx, PAGE / 4", 0xb9, ...littleEndian(PAGE / 4, 4))
    .label("fill_first")
    .row("imul ebx, ebx, multiplier", 0x69, 0xdb, ...littleEndian(1664525, 4))
    .row("add ebx, increment", 0x81, 0xc3, ...littleEndian(1013904223, 4))
    .row("mov [edi], ebx", 0x89, 0x1f)
    .row("add edi, 4", 0x83, 0xc7, 4)
    .row("loop fill_first", 0xe2, rel8("fill_first"))
    .row("mov esi, START", 0xbe, ...littleEndian(START, 4))
    .row("mov ecx, words of the rest", 0xb9, ...littleEndian((end - START - PAGE) / 4, 4))
    .row("rep movsd        ; each page is a copy of the one before", 0xf3, 0xa5);
  print(code, READY);
  sweepForEver(code, { start: START, end: START + SWEPT, stride: PAGE, paceMs: 5 });
  tables(code);
  return code;
}
