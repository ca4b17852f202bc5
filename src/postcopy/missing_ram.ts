/**
 * RAM on which a guest will run before all of it has come: what has not come is made missing, so that the
 * kernel stops who touches it, or guests are to ask (wire-format §8.4; QEMU `migration/postcopy-ram.c`,
 * `postcopy_ram_incoming_setup`).
 *
 * @module
 */
import { type HostRange, hostRanges } from "../dirty/host_range.ts";
import { SettingError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { Presence } from "../machine/presence.ts";
import { Errno, errnoName } from "../os/errno.ts";
import { hostPageSize } from "../os/host_memory.ts";
import { adviseSmallPages, discard } from "../os/madvise.ts";
import { probeHost } from "../os/probe.ts";
import {
  closeUserfaultfd,
  openUserfaultfd,
  register,
  UffdFeature,
  UffdMode,
  unregister,
} from "../os/userfaultfd.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { Blocktime } from "./blocktime.ts";

/** How a guest is kept from pages that have not come. */
export type FaultKind = "userfaultfd" | "checks";

/** RAM that is missing in parts. */
export class MissingRam implements Disposable {
  readonly layout: MissingRamLayout;
  /** How guests are kept from what is missing. */
  readonly kind: FaultKind;
  readonly blocktime: Blocktime;
  #userfaultfd: number | undefined;
  readonly #ranges: readonly HostRange[];

  private constructor(
    ram: GuestRam,
    presence: Presence,
    watched: { readonly userfaultfd: number; readonly ranges: readonly HostRange[] } | string,
  ) {
    const lack = typeof watched === "string" ? watched : undefined;
    this.kind = lack === undefined ? "userfaultfd" : "checks";
    this.lack = lack;
    this.blocktime = Blocktime.create(presence.vcpus);
    this.#userfaultfd = typeof watched === "string" ? undefined : watched.userfaultfd;
    this.#ranges = typeof watched === "string" ? [] : watched.ranges;
    this.layout = {
      ram: ram.layout,
      userfaultfd: this.#userfaultfd,
      presence: presence.memory,
      blocktime: this.blocktime.memory,
    };
  }

  /** Why the kernel does not watch, if it does not. */
  readonly lack: string | undefined;

  /**
   * Makes missing what has not come. From here on pages are placed by a `PageStore` only.
   * @param ram Nobody uses it until the guest runs.
   * @param presence Where its vCPUs wait, or `undefined` if no guest will run: then nothing is watched.
   * @param wanted How guests are to be kept from what is missing. @default {the best there is}
   * @throws {SettingError} If that does not work here.
   */
  static create(ram: GuestRam, presence: Presence | undefined, wanted?: FaultKind): MissingRam {
    for (const { requested, pageCount } of ram.blocks) requested.fill(0, pageCount, false);
    if (!presence) return new MissingRam(ram, Presence.create(0), "no guest runs");
    const watched = wanted === "checks" ? "the user wants checks" : watch(ram);
    if (wanted === "userfaultfd" && typeof watched === "string") {
      throw new SettingError(`Page faults are not noticed by "${wanted}" here: ${watched}`, {
        advice: "Leave the choice to Ferry, or lift the restriction",
      });
    }
    return new MissingRam(ram, presence, watched);
  }

  /** How guests are kept from what is missing, and why not better, in words. */
  get description(): string {
    return this.lack === undefined ? this.kind : `${this.kind}: ${this.lack}`;
  }

  /** Every page is there, or nobody will use what is not: nothing is watched any more. */
  [Symbol.dispose](): void {
    const fd = this.#userfaultfd;
    if (fd === undefined) return;
    this.#userfaultfd = undefined;
    for (const { start, end } of this.#ranges) unregister(fd, start, end - start);
    closeUserfaultfd(fd);
  }
}

/** Has the kernel watch; or says why it does not. */
function watch(
  ram: GuestRam,
): { readonly userfaultfd: number; readonly ranges: readonly HostRange[] } | string {
  const lack = probeHost().missingPages;
  if (lack !== undefined) return lack;
  const larger = ram.blocks.find((block) => block.hostPageSize % hostPageSize() !== 0);
  if (larger) return `this host's pages are larger than those of RAM block "${larger.name}"`;
  const ranges = hostRanges(ram);
  if (!ranges) return "no --allow-ffi";
  const opened = open();
  if (opened < 0) return `userfaultfd does not open (${errnoName(opened)})`;
  for (const range of ranges) {
    const { start, end } = range;
    adviseSmallPages(start, end - start);
    discardMissing(ram, range);
    const registered = register(opened, start, end - start, UffdMode.missing);
    if (registered >= 0) continue;
    closeUserfaultfd(opened);
    return `userfaultfd does not watch this RAM (${errnoName(registered)})`;
  }
  return { userfaultfd: opened, ranges };
}

function open(): number {
  let opened = openUserfaultfd({ features: UffdFeature.threadId });
  if (opened === -Errno.EINVAL) opened = openUserfaultfd();
  return typeof opened === "number" ? opened : opened.fd;
}

/** Gives back the pages of the host of which nothing has come: from then on they are missing. */
function discardMissing(ram: GuestRam, { block, offset, start, end }: HostRange): void {
  const { received } = block;
  const { pageSize } = ram;
  const hostPage = hostPageSize();
  const last = Math.min((offset + end - start) / pageSize, block.pageCount);
  for (let page = offset / pageSize; (page = received.next(page, false, last)) < last;) {
    const behind = received.next(page, true, last);
    const from = start + Math.ceil((page * pageSize - offset) / hostPage) * hostPage;
    const to = behind === last
      ? end
      : start + Math.floor((behind * pageSize - offset) / hostPage) * hostPage;
    if (to > from) discard(from, to - from);
    page = behind;
  }
}
