/**
 * The program of the sweep guest, instruction by instruction: real mode to flat 32-bit mode, a timer that
 * ticks every millisecond, then sweeps for ever.
 *
 * @module
 */
import { abs16, abs32, littleEndian, rel8, X86Code } from "./x86_code.ts";

/** What the program needs to know; addresses and sizes in bytes. */
export interface SweepSettings {
  readonly start: number;
  readonly end: number;
  readonly stride: number;
  readonly fill: number;
  readonly seed: number;
  readonly paceMs: number;
  readonly suspends: boolean;
}

/** What the guest prints when its memory is filled, before the first sweep. */
export const READY = "A";
/** What the guest prints after each sweep. */
export const HEARTBEAT = "B";
/** Where power management is asked for sleep, and the word that asks for suspension to RAM (ACPI's S3). */
const SLEEP = { port: 0x604, word: 0x2401 } as const;
/** Where a page's fill begins: after the byte that is counted, and three that stay zero. */
export const FILL_OFFSET = 4;
/** A step of the generator behind the fill: the high half of each state is one word. */
export const FILL_LCG = { multiplier: 1664525, increment: 1013904223 } as const;

/** The interrupt that the timer raises: the first beyond the processor's own. */
const TIMER_VECTOR = 0x20;
/** What the timer counts down from to tick once in a millisecond: its clock runs at 1.193182 MHz. */
const TIMER_DIVISOR = 1193;
const STACK_TOP = 0x7c00;
/** The processor's own interrupt controller, which starts with everything masked. */
const LOCAL_APIC = {
  spurious: 0xfee000f0,
  enable: 0x1ff,
  lint0: 0xfee00350,
  external: 0x700,
} as const;
/** Selectors of the descriptor table below. */
const CODE = 0x08;
const DATA = 0x10;

/**
 * Assembles the program. Its entry is the label `begin`, in 16-bit mode.
 * @param settings What it does.
 * @param origin The address it will be at.
 * @param segment The real-mode segment it is entered in; `origin` lies within it.
 * @returns The code, to which the caller adds what its container needs.
 */
export function sweepProgram(settings: SweepSettings, origin: number, segment: number): X86Code {
  const code = new X86Code(origin);
  enterFlatMode(code, segment);
  startTimer(code);
  if (settings.fill > 0) fillPages(code, settings);
  print(code, READY);
  sweepForEver(code, settings);
  tables(code);
  return code;
}

/** From real mode, in which the firmware enters, to 32-bit mode with all of memory flat. */
export function enterFlatMode(code: X86Code, segment: number): void {
  code.label("begin")
    .row("cli", 0xfa)
    .row("cld", 0xfc)
    .row("jmp segment:here", 0xea, abs16("here"), ...littleEndian(segment, 2))
    .label("here") // from here on cs is known
    .row("in al, 0x92", 0xe4, 0x92)
    .row("or al, 2         ; address line 20 on", 0x0c, 0x02)
    .row("and al, 0xfe     ; and no reset", 0x24, 0xfe)
    .row("out 0x92, al", 0xe6, 0x92)
    .row("lgdt cs:[gdtr]", 0x2e, 0x66, 0x0f, 0x01, 0x16, abs16("gdtr"))
    .row("mov eax, cr0", 0x0f, 0x20, 0xc0)
    .row("or al, 1         ; protected mode", 0x0c, 0x01)
    .row("mov cr0, eax", 0x0f, 0x22, 0xc0)
    .row("jmp CODE:flat", 0x66, 0xea, abs32("flat"), ...littleEndian(CODE, 2))
    .label("flat") // from here on 32-bit
    .row("mov ax, DATA", 0x66, 0xb8, ...littleEndian(DATA, 2))
    .row("mov ds, ax", 0x8e, 0xd8)
    .row("mov es, ax", 0x8e, 0xc0)
    .row("mov ss, ax", 0x8e, 0xd0)
    .row("mov esp, STACK_TOP", 0xbc, ...littleEndian(STACK_TOP, 4));
}

/** A timer that ticks every millisecond, for `hlt`; {@linkcode tables} has what it needs. */
export function startTimer(code: X86Code): void {
  const out = (port: number, value: number, why: string) =>
    code.row(`mov al, 0x${value.toString(16)}`, 0xb0, value)
      .row(`out 0x${port.toString(16)}, al      ; ${why}`, 0xe6, port);
  code.row("lidt [idtr]", 0x0f, 0x01, 0x1d, abs32("idtr"));
  const store = (address: number, value: number, why: string) =>
    code.row(
      `mov dword [0x${address.toString(16)}], 0x${value.toString(16)}      ; ${why}`,
      ...[0xc7, 0x05, ...littleEndian(address, 4), ...littleEndian(value, 4)],
    );
  store(LOCAL_APIC.spurious, LOCAL_APIC.enable, "local APIC on");
  store(LOCAL_APIC.lint0, LOCAL_APIC.external, "and open to the interrupt controllers");
  out(0x20, 0x11, "first interrupt controller: initialise");
  out(0x21, TIMER_VECTOR, "its first vector");
  out(0x21, 0x04, "the second one hangs on line 2");
  out(0x21, 0x01, "8086 mode");
  out(0x21, 0xfe, "only the timer");
  out(0xa1, 0xff, "nothing from the second controller");
  out(0x43, 0x34, "timer 0: both bytes, a tick each time it reaches the end");
  out(0x40, TIMER_DIVISOR & 0xff, "low byte");
  out(0x40, TIMER_DIVISOR >> 8, "high byte");
}

function fillPages(code: X86Code, { start, end, stride, fill, seed }: SweepSettings): void {
  code.row("mov edi, start", 0xbf, ...littleEndian(start, 4))
    .label("fill_page")
    .row("mov ebx, edi", 0x89, 0xfb)
    .row("xor ebx, seed", 0x81, 0xf3, ...littleEndian(seed, 4))
    .row("mov ecx, fill / 2", 0xb9, ...littleEndian(fill / 2, 4))
    .row("push edi", 0x57)
    .row("add edi, FILL_OFFSET", 0x83, 0xc7, FILL_OFFSET)
    .label("fill_word")
    .row("imul ebx, ebx, multiplier", 0x69, 0xdb, ...littleEndian(FILL_LCG.multiplier, 4))
    .row("add ebx, increment", 0x81, 0xc3, ...littleEndian(FILL_LCG.increment, 4))
    .row("mov eax, ebx", 0x89, 0xd8)
    .row("shr eax, 16      ; the low bits repeat too soon", 0xc1, 0xe8, 16)
    .row("stosw", 0x66, 0xab)
    .row("loop fill_word", 0xe2, rel8("fill_word"))
    .row("pop edi", 0x5f)
    .row("add edi, stride", 0x81, 0xc7, ...littleEndian(stride, 4))
    .row("cmp edi, end", 0x81, 0xff, ...littleEndian(end, 4))
    .row("jb fill_page", 0x72, rel8("fill_page"));
}

/** Prints one character on the first serial port. */
export function print(code: X86Code, character: string): void {
  code.row("mov dx, 0x3f8    ; first serial port", 0x66, 0xba, 0xf8, 0x03)
    .row(`mov al, '${character}'`, 0xb0, character.charCodeAt(0))
    .row("out dx, al", 0xee);
}

/**
 * Adds one to a byte of each stride, prints a heartbeat, halts for some ticks, and so on. A guest that
 * suspends does so once, after its first heartbeat: who wakes it makes the firmware boot it again.
 */
export function sweepForEver(
  code: X86Code,
  { start, end, stride, paceMs, suspends = false }:
    & Omit<SweepSettings, "fill" | "seed" | "suspends">
    & Partial<Pick<SweepSettings, "suspends">>,
): void {
  code.label("sweep")
    .row("mov edi, start", 0xbf, ...littleEndian(start, 4))
    .label("next_page")
    .row("inc byte [edi]", 0xfe, 0x07)
    .row("add edi, stride", 0x81, 0xc7, ...littleEndian(stride, 4))
    .row("cmp edi, end", 0x81, 0xff, ...littleEndian(end, 4))
    .row("jb next_page", 0x72, rel8("next_page"));
  print(code, HEARTBEAT);
  if (suspends) suspendOnce(code, end);
  if (paceMs > 0) {
    code.row("mov ecx, paceMs", 0xb9, ...littleEndian(paceMs, 4))
      .label("tick")
      .row("sti", 0xfb)
      .row("hlt", 0xf4)
      .row("cli", 0xfa)
      .row("loop tick", 0xe2, rel8("tick"));
  }
  code.row("jmp sweep", 0xeb, rel8("sweep"));
}

/** Sleeps, unless the word at an address says that it has. */
function suspendOnce(code: X86Code, flag: number): void {
  const address = littleEndian(flag, 4);
  code.row("cmp dword [flag], 1", 0x81, 0x3d, ...address, ...littleEndian(1, 4))
    .row("je awake", 0x74, rel8("awake"))
    .row("mov dword [flag], 1", 0xc7, 0x05, ...address, ...littleEndian(1, 4))
    .row("mov dx, SLEEP.port", 0x66, 0xba, ...littleEndian(SLEEP.port, 2))
    .row("mov ax, SLEEP.word", 0x66, 0xb8, ...littleEndian(SLEEP.word, 2))
    .row("out dx, ax", 0x66, 0xef)
    .label("asleep")
    .row("hlt", 0xf4)
    .row("jmp asleep", 0xeb, rel8("asleep"))
    .label("awake");
}

/** The descriptor tables and the interrupt routine; they come last. */
export function tables(code: X86Code): void {
  code.label("on_timer")
    .row("push eax", 0x50)
    .row("mov al, 0x20", 0xb0, 0x20)
    .row("out 0x20, al     ; end of interrupt", 0xe6, 0x20)
    .row("pop eax", 0x58)
    .row("iretd", 0xcf)
    // 4 GiB from 0, each with its "accessed" bit set, so that the processor never writes here.
    .label("gdt")
    .row("null descriptor", 0, 0, 0, 0, 0, 0, 0, 0)
    .row("CODE: 32-bit, execute and read", 0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0)
    .row("DATA: read and write", 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0)
    .label("gdtr")
    .row("limit", ...littleEndian(3 * 8 - 1, 2))
    .row("base", abs32("gdt"))
    // Only one interrupt ever comes, so the table has only this gate and its base lies before it.
    .label("idt_gate")
    .row("on_timer, low half", abs16("on_timer"))
    .row("CODE, 32-bit interrupt gate", ...littleEndian(CODE, 2), 0, 0x8e)
    .row("on_timer, high half", ...littleEndian(code.origin >>> 16, 2))
    .label("idtr")
    .row("limit", ...littleEndian((TIMER_VECTOR + 1) * 8 - 1, 2))
    .row("base", abs32("idt_gate", -TIMER_VECTOR * 8));
}
