/**
 * Looks at all of a machine's RAM in a thread of its own, so that the main thread stays responsive.
 *
 * @module
 */
import { WorkerHandle } from "../../threads/worker_handle.ts";
import type { WorkerPort } from "../../threads/worker_port.ts";
import { GuestRam, type GuestRamLayout } from "../guest_ram.ts";
import type { Machine } from "../machine.ts";
import { type BlockDigest, digestBlocks } from "./digest_blocks.ts";
import { findWrongPage, type PausedVcpu, type WrongPage } from "./find_wrong_page.ts";

/** What is to be looked at. */
export interface RamCheckStart {
  /** The RAM. */
  readonly ram: GuestRamLayout;
  /** Whose pages are checked; without it, RAM is digested. */
  readonly vcpus: readonly PausedVcpu[] | undefined;
}

/** What was found: one of the two, or nothing if every page is right. */
export interface RamCheckResult {
  /** The first wrong page. */
  readonly wrong?: WrongPage;
  /** All blocks' digests. */
  readonly digests?: readonly BlockDigest[];
}

/**
 * Verifies every byte of a machine that runs built-in guests.
 * @param machine It must stand still, and all its pages must have arrived.
 * @returns The first wrong page, or `undefined` if every page is right.
 * @throws {StateError} If a vCPU is not paused, or its guest not a built-in one.
 */
export async function verifyRam(
  machine: Pick<Machine, "ram" | "vcpus">,
): Promise<WrongPage | undefined> {
  const vcpus = machine.vcpus.map((vcpu) => ({ guest: vcpu.guest, state: vcpu.state() }));
  return (await checkInWorker({ ram: machine.ram.layout, vcpus })).wrong;
}

/**
 * Digests every block; two machines with equal digests have the same RAM.
 * @param ram RAM that does not change meanwhile.
 */
export async function digestRam(ram: GuestRam): Promise<readonly BlockDigest[]> {
  return (await checkInWorker({ ram: ram.layout, vcpus: undefined })).digests ?? [];
}

/** The worker's side: one look, one result. */
export function runRamCheck(
  { ram, vcpus }: RamCheckStart,
  port: WorkerPort<never, RamCheckResult>,
): void {
  port.ready();
  const opened = new GuestRam(ram);
  if (!vcpus) return port.post({ digests: digestBlocks(opened) });
  const wrong = findWrongPage(opened, vcpus);
  port.post(wrong ? { wrong } : {});
}

async function checkInWorker(start: RamCheckStart): Promise<RamCheckResult> {
  let result: RamCheckResult = {};
  await using worker = await WorkerHandle.start<RamCheckStart, never, RamCheckResult>({
    name: "RAM check",
    url: new URL("../../../workers/ram_check.ts", import.meta.url),
    start,
    onMessage: (message) => result = message,
  });
  await worker.ended;
  return result;
}
