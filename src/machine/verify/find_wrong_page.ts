/**
 * Checks RAM against what a built-in guest must have written there: every byte of every page.
 *
 * @module
 */
import { StateError } from "../../errors.ts";
import { GuestChecks } from "../guest_checks.ts";
import type { GuestRam } from "../guest_ram.ts";
import { guestName, type GuestSpec } from "../guest_spec.ts";
import { loadPaged, pagedIdentity, pagedParts, type PagedSpec } from "../guests/paged_guest.ts";
import { decodeVcpuState } from "../vcpu_state.ts";
import { explainBeat, explainStress } from "./explain.ts";

/** A paused vCPU, as far as its pages are concerned. */
export interface PausedVcpu {
  /** What it runs. */
  readonly guest: GuestSpec;
  /** What `Vcpu.state()` gave. */
  readonly state: Uint8Array;
}

/** The first page that is not what it must be. */
export interface WrongPage {
  /** The block's name. */
  readonly block: string;
  /** Its number in the block. */
  readonly page: number;
  /** What it must hold, in words. */
  readonly expected: string;
  /** What it holds, in words. */
  readonly found: string;
}

/** A wrong page in one sentence. */
export function describeWrongPage({ block, page, expected, found }: WrongPage): string {
  return `Page ${page} of block ${block} must hold ${expected}, but holds ${found}`;
}

/**
 * Finds the first page that is not what the guests must have made of it by now.
 * @param ram RAM that does not change meanwhile.
 * @param vcpus All vCPUs of its machine, in order.
 * @returns The wrong page, or `undefined` if every page is right.
 * @throws {StateError} If a guest is not one of the built-in ones.
 * @throws {IncompatibleError} If a state is not one of its guest on this RAM.
 */
export function findWrongPage(
  ram: GuestRam,
  vcpus: readonly PausedVcpu[],
): WrongPage | undefined {
  const checks = new GuestChecks(ram.pageSize);
  for (const [index, { guest, state }] of vcpus.entries()) {
    if (!isPaged(guest)) {
      throw new StateError(`What guest ${guestName(guest)} makes of RAM is not known`);
    }
    const parts = pagedParts(guest, ram, index, vcpus.length, checks);
    const saved = decodeVcpuState(state);
    if (saved) loadPaged(pagedIdentity(guest, index, vcpus.length), parts, saved);
    for (const part of parts) {
      const page = part.exports.check(0, part.pages);
      if (page === part.pages) continue;
      const explain = guest.kind === "beat" ? explainBeat : explainStress;
      return {
        block: part.block.name,
        page: part.firstPage + page,
        ...explain(part, page, ram.pageSize),
      };
    }
  }
  return undefined;
}

function isPaged(guest: GuestSpec): guest is PagedSpec {
  return guest.kind === "beat" || guest.kind === "stress";
}
