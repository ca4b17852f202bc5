/**
 * The x86 guest that times its own page faults. At the source it waits; at the destination it reads pages
 * of a range in a scattered order and keeps for each how long that took, by the processor's time stamp counter.
 * It knows where it is from a port that reads differently at the destination: no message has to reach it.
 *
 * @module
 */
import {
  enterFlatMode,
  HEARTBEAT,
  print,
  READY,
  startTimer,
  tables,
} from "../../tests/support/sweep_program.ts";
import { littleEndian, rel8, X86Code } from "../../tests/support/x86_code.ts";
import { PAGE, TOUCH_ORDER, type TouchPlan } from "./touch_plan.ts";

/** Where the range begins. */
export const RANGE_START = 0x100000;
/** Where the guest leaves the time while it waits: a word in units of {@linkcode TICKS}. */
export const TIME_CELL = 0x600;
/** How many ticks of the time stamp counter are one unit of the guest's times. */
export const TICKS = 256;

const PORT = 0xe9;
const THERE = 0x42;
const BOOT_SECTOR = { base: 0x7c00, size: 512, floppy: 1440 * 1024 };

/** Where the guest keeps the times: 32-bit words, one a touch. */
export function logStart({ pages }: TouchPlan): number {
  return RANGE_START + pages * PAGE;
}

/** How much RAM the machine needs, in MiB. */
export function ramFor(plan: TouchPlan): number {
  return Math.ceil((logStart(plan) + 4 * plan.pages) / 1024 ** 2) + 1;
}

/** The port that tells the guest where it is. */
export function placeArguments(isThere: boolean): string[] {
  const readback = isThere ? THERE : PORT;
  return [
    ...["-chardev", "null,id=place"],
    ...["-device", `isa-debugcon,chardev=place,iobase=${PORT},readback=${readback}`],
  ];
}

/** The floppy disk that the machine starts from. */
export function touchFloppy(plan: TouchPlan): Uint8Array<ArrayBuffer> {
  const sector = program(plan).padTo(BOOT_SECTOR.size - 2).row("mark of a boot sector", 0x55, 0xaa);
  const image = new Uint8Array(BOOT_SECTOR.floppy);
  image.set(sector.build());
  return image;
}

function program(plan: TouchPlan): X86Code {
  const code = new X86Code(BOOT_SECTOR.base);
  enterFlatMode(code, 0);
  startTimer(code);
  code.row("mov edi, RANGE_START", 0xbf, ...littleEndian(RANGE_START, 4))
    .label("fill")
    .row("mov [edi], edi   ; no page is zero", 0x89, 0x3f)
    .row("add edi, PAGE", 0x81, 0xc7, ...littleEndian(PAGE, 4))
    .row("cmp edi, logStart", 0x81, 0xff, ...littleEndian(logStart(plan), 4))
    .row("jb fill", 0x72, rel8("fill"));
  print(code, READY);
  code.label("wait_here");
  readTime(code);
  code.row("mov [TIME_CELL], eax", 0xa3, ...littleEndian(TIME_CELL, 4))
    .row("sti", 0xfb)
    .row("hlt", 0xf4)
    .row("cli", 0xfa)
    .row("in al, PORT", 0xe4, PORT)
    .row("cmp al, THERE", 0x3c, THERE)
    .row("jne wait_here", 0x75, rel8("wait_here"));
  touchPages(code, plan);
  print(code, HEARTBEAT);
  code.label("end")
    .row("sti", 0xfb)
    .row("hlt", 0xf4)
    .row("jmp end", 0xeb, rel8("end"));
  tables(code);
  return code;
}

function touchPages(code: X86Code, plan: TouchPlan): void {
  const log = logStart(plan);
  code.row("mov edi, log", 0xbf, ...littleEndian(log, 4))
    .row("mov ecx, touches", 0xb9, ...littleEndian(plan.touches, 4))
    .row("xor eax, eax", 0x31, 0xc0)
    .row("rep stosd        ; its own pages are not what is measured", 0xf3, 0xab)
    .row("mov ebp, log", 0xbd, ...littleEndian(log, 4))
    .row("xor esi, esi", 0x31, 0xf6)
    .label("touch")
    .row("imul esi, esi, multiplier", 0x69, 0xf6, ...littleEndian(TOUCH_ORDER.multiplier, 4))
    .row("add esi, increment", 0x81, 0xc6, ...littleEndian(TOUCH_ORDER.increment, 4))
    .row("and esi, pages - 1", 0x81, 0xe6, ...littleEndian(plan.pages - 1, 4))
    .row("mov edi, esi", 0x89, 0xf7)
    .row("shl edi, 12", 0xc1, 0xe7, 12)
    .row("add edi, RANGE_START", 0x81, 0xc7, ...littleEndian(RANGE_START, 4));
  readTime(code);
  code.row("mov ebx, eax", 0x89, 0xc3)
    .row("mov eax, [edi]", 0x8b, 0x07);
  readTime(code);
  code.row("sub eax, ebx", 0x29, 0xd8)
    .row("mov [ebp], eax", 0x89, 0x45, 0)
    .row("add ebp, 4", 0x83, 0xc5, 4)
    .row("cmp ebp, end of log", 0x81, 0xfd, ...littleEndian(log + 4 * plan.touches, 4))
    .row("jb touch", 0x72, rel8("touch"));
}

function readTime(code: X86Code): void {
  code.row("rdtsc", 0x0f, 0x31)
    .row("shrd eax, edx, 8 ; in units of TICKS", 0x0f, 0xac, 0xd0, 8);
}
