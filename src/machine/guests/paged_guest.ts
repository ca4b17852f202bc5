/**
 * What `beat` and `stress` have in common: sweep after sweep over the shares of one vCPU, at a rate,
 * with the cursors as device state.
 *
 * ```text
 * state   u16 length, what it is the state of (text)
 *         u16 whose turn it is, u16 shares, and for each: u32 complete sweeps, u32 cursor
 * ```
 *
 * @module
 */
import { IncompatibleError } from "../../errors.ts";
import type { Guest, GuestContext } from "../guest.ts";
import type { GuestChecks } from "../guest_checks.ts";
import type { GuestRam } from "../guest_ram.ts";
import type { BeatSpec, StressSpec } from "../guest_spec.ts";
import { beatParts } from "./beat.ts";
import type { Part } from "./part.ts";
import { stressParts } from "./stress.ts";

/** The built-in guests' specs. */
export type PagedSpec = BeatSpec | StressSpec;

/** Pages of one step: at some 10 µs for the first touch of a page, still well under a millisecond. */
const STEP_PAGES = 64;
/** How far behind its rate a guest may fall, in milliseconds, before it lets the rest go. */
const BEHIND_MAX_MS = 100;
/** How long a vCPU whose share of RAM is empty sleeps at a time, in milliseconds. */
const NOTHING_MS = 1000;

/** Makes a vCPU's instances of a built-in guest. */
export function pagedParts(
  spec: PagedSpec,
  ram: GuestRam,
  vcpu: number,
  vcpus: number,
  checks: GuestChecks,
): Part[] {
  return spec.kind === "beat"
    ? beatParts(ram, vcpu, vcpus, checks)
    : stressParts(ram, vcpu, vcpus, checks, spec);
}

/**
 * Everything that decides what pages hold, in words: two sides that differ in it do not run the same
 * guest.
 */
export function pagedIdentity(spec: PagedSpec, vcpu: number, vcpus: number): string {
  const place = `vcpu=${vcpu}/${vcpus}`;
  if (spec.kind === "beat") return `beat,${place}`;
  const { zero, text, random, seed, order, write } = spec;
  return `stress,zero=${zero},text=${text},random=${random},seed=${seed},order=${order},` +
    `write=${write},${place}`;
}

/** Writes down where a guest is. */
export function savePaged(identity: string, turn: number, parts: readonly Part[]): Uint8Array {
  const name = new TextEncoder().encode(identity);
  const bytes = new Uint8Array(2 + name.length + 4 + parts.length * 8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, name.length);
  bytes.set(name, 2);
  let at = 2 + name.length;
  view.setUint16(at, turn);
  view.setUint16(at + 2, parts.length);
  at += 4;
  for (const { exports } of parts) {
    view.setUint32(at, exports.sweep.value);
    view.setUint32(at + 4, exports.cursor.value);
    at += 8;
  }
  return bytes;
}

/**
 * Puts a guest where {@linkcode savePaged} found it.
 * @returns Whose turn it is.
 * @throws {IncompatibleError} If the state is not one of this guest on this RAM; nothing is changed then.
 */
export function loadPaged(identity: string, parts: readonly Part[], bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 2 ? 0 : view.getUint16(0);
  const found = new TextDecoder().decode(bytes.subarray(2, 2 + length));
  if (found !== identity) {
    throw new IncompatibleError(`The vCPU's state is one of guest "${found}", not "${identity}"`, {
      advice: "Start both sides with the same guest",
    });
  }
  const table = 2 + length + 4;
  if (bytes.length !== table + parts.length * 8 || view.getUint16(table - 2) !== parts.length) {
    throw new IncompatibleError(
      `The vCPU's state is one of another RAM: ${bytes.length} bytes for ${parts.length} shares`,
    );
  }
  const places = parts.map(({ pages }, i) => {
    const [sweep, cursor] = [view.getUint32(table + i * 8), view.getUint32(table + i * 8 + 4)];
    // The cursor decides where the guest writes.
    if (cursor >= pages) {
      throw new IncompatibleError(`The vCPU's cursor ${cursor} is outside its ${pages} pages`);
    }
    return { sweep, cursor };
  });
  parts.forEach(({ exports }, i) => {
    exports.sweep.value = places[i]!.sweep;
    exports.cursor.value = places[i]!.cursor;
  });
  return view.getUint16(table - 4) % Math.max(1, parts.length);
}

/** A built-in guest at work. */
export class PagedGuest implements Guest {
  readonly #context: Pick<GuestContext, "clock" | "countPages">;
  readonly #identity: string;
  readonly #parts: readonly Part[];
  readonly #fill: boolean;
  /** In pages per millisecond. */
  readonly #rate: number;
  readonly #stepPages: number;
  #turn = 0;
  /** Pages written since `#from`, of those the rate is for. */
  #written = 0;
  #from: number | undefined;

  /** @param ram The RAM it works on, with `checks` for what it writes there. */
  constructor(
    spec: PagedSpec,
    ram: GuestRam,
    checks: GuestChecks,
    context: Pick<GuestContext, "index" | "vcpus" | "clock" | "countPages">,
  ) {
    const { index, vcpus } = context;
    this.#context = context;
    this.#identity = pagedIdentity(spec, index, vcpus);
    this.#parts = pagedParts(spec, ram, index, vcpus, checks);
    this.#fill = spec.kind === "stress" && spec.fill;
    this.#rate = spec.rate / ram.pageSize / 1000;
    this.#stepPages = Math.max(1, Math.min(STEP_PAGES, Math.floor(this.#rate)));
  }

  /** @returns Milliseconds until the rate allows the next pages. */
  step(): number {
    const part = this.#parts[this.#turn];
    if (!part) return NOTHING_MS;
    const paced = this.#rate !== Infinity && !(this.#fill && part.exports.sweep.value === 0);
    const early = paced ? this.#early() : 0;
    if (early > 0) return early;
    const pages = part.exports.step(paced ? this.#stepPages : STEP_PAGES);
    if (paced) this.#written += pages;
    this.#context.countPages(pages);
    // A cursor at the start is a sweep that has just ended.
    if (part.exports.cursor.value === 0) this.#turn = (this.#turn + 1) % this.#parts.length;
    return 0;
  }

  save(): Uint8Array {
    return savePaged(this.#identity, this.#turn, this.#parts);
  }

  load(state: Uint8Array): void {
    this.#turn = loadPaged(this.#identity, this.#parts, state);
  }

  /** How far ahead of its rate the guest is, in milliseconds; what it is much behind, it lets go. */
  #early(): number {
    const now = this.#context.clock();
    this.#from ??= now;
    const early = this.#from + this.#written / this.#rate - now;
    if (early < -BEHIND_MAX_MS) this.#from -= early + BEHIND_MAX_MS;
    return early;
  }
}
