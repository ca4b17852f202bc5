/**
 * A small x86 guest whose memory says whether a migration kept it whole.
 *
 * It adds one to the first byte of every page of a range, from bottom to top, again and again, and prints a
 * `B` on the first serial port after each sweep. So at any instant those bytes read k+1 up to some page and
 * k from there on: a page that was lost, doubled or mixed up shows as a second step (`sweep_check.ts`).
 * Between sweeps it halts for timer ticks, which keeps the host's processor free and proves that timer,
 * interrupt controllers and processor state have arrived as well.
 *
 * It is delivered as a boot sector, which the machine's firmware loads, or as the firmware itself, which
 * starts at once and keeps other people's code out of captured streams.
 *
 * @module
 */
import { FILL_LCG, FILL_OFFSET, sweepProgram, type SweepSettings } from "./sweep_program.ts";
import { abs16, littleEndian, type X86Code } from "./x86_code.ts";

/** What the guest does; addresses and sizes in bytes. */
export interface SweepGuestOptions {
  /** Where the range begins. @default {0x100000} */
  readonly start?: number;
  /** How long the range is. @default {8 MiB} */
  readonly size?: number;
  /** From one written byte to the next. @default {4096} */
  readonly stride?: number;
  /** How many pseudo-random bytes each stride gets once, before the first sweep; even. @default {0} */
  readonly fill?: number;
  /** Makes the fill another one. @default {1} */
  readonly seed?: number;
  /** How many milliseconds to halt between two sweeps; 0 never halts. @default {5} */
  readonly paceMs?: number;
  /** Whether it suspends itself to RAM after the first sweep; woken, it boots again and sweeps on. @default {false} */
  readonly suspends?: boolean;
}

/** How the guest gets into the machine. */
export type SweepGuestDelivery = "firmware" | "floppy";

const FIRMWARE_SIZE = 64 * 1024;
const FIRMWARE_BASE = 0xf0000;
const RESET_VECTOR = 0xfff0;
const BOOT_SECTOR_BASE = 0x7c00;
const BOOT_SECTOR_SIZE = 512;
const FLOPPY_SIZE = 1440 * 1024;

/** A guest: what it will do, and the bytes that make a machine do it. */
export class SweepGuest implements SweepSettings {
  readonly start: number;
  readonly size: number;
  readonly stride: number;
  readonly fill: number;
  readonly seed: number;
  readonly paceMs: number;
  readonly suspends: boolean;

  /** @param options What it does. */
  constructor(options: SweepGuestOptions = {}) {
    this.start = options.start ?? 0x100000;
    this.size = options.size ?? 8 * 1024 ** 2;
    this.stride = options.stride ?? 4096;
    this.fill = options.fill ?? 0;
    this.seed = options.seed ?? 1;
    this.paceMs = options.paceMs ?? 5;
    this.suspends = options.suspends ?? false;
    if (this.size <= 0 || this.size % this.stride !== 0) {
      throw new RangeError(`Range is not whole strides of ${this.stride} bytes: ${this.size}`);
    }
    if (this.fill % 2 !== 0 || this.fill > this.stride - FILL_OFFSET) {
      throw new RangeError(`Fill must be even and fit in a stride: ${this.fill}`);
    }
  }

  /** The address after the range. */
  get end(): number {
    return this.start + this.size;
  }

  /**
   * The bytes that a machine is given.
   * @param delivery How it gets them: `firmware` for `-bios`, `floppy` for a drive.
   * @returns The whole image.
   */
  image(delivery: SweepGuestDelivery): Uint8Array<ArrayBuffer> {
    const code = this.#program(delivery);
    if (delivery === "floppy") {
      const sector = code.padTo(BOOT_SECTOR_SIZE - 2).row("mark of a boot sector", 0x55, 0xaa);
      const image = new Uint8Array(FLOPPY_SIZE);
      image.set(sector.build());
      return image;
    }
    return code.padTo(RESET_VECTOR)
      .row("jmp 0xf000:begin", 0xea, abs16("begin"), ...littleEndian(FIRMWARE_BASE >> 4, 2))
      .padTo(FIRMWARE_SIZE)
      .build();
  }

  /** The program as text, for people. */
  listing(delivery: SweepGuestDelivery): string {
    return this.#program(delivery).listing;
  }

  /**
   * The fill of one page.
   * @param address The first byte of a stride in the range.
   * @returns What the guest wrote from {@linkcode FILL_OFFSET} on.
   */
  fillOf(address: number): Uint8Array<ArrayBuffer> {
    const words = new Uint16Array(this.fill / 2);
    let state = address ^ this.seed;
    for (let i = 0; i < words.length; i++) {
      state = (Math.imul(state, FILL_LCG.multiplier) + FILL_LCG.increment) | 0;
      words[i] = state >>> 16;
    }
    return new Uint8Array(words.buffer);
  }

  #program(delivery: SweepGuestDelivery): X86Code {
    return delivery === "floppy"
      ? sweepProgram(this, BOOT_SECTOR_BASE, 0)
      : sweepProgram(this, FIRMWARE_BASE, FIRMWARE_BASE >> 4);
  }
}
