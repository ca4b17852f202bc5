/**
 * The dirty log that the kernel keeps: userfaultfd protects RAM against writing and notes the pages
 * that are written; PAGEMAP_SCAN reads the notes and protects again, in one atomic step. The guest does
 * not help and runs at full speed but for one short fault at the first write to a page.
 *
 * A page the kernel found written is protected again before it is marked here and sent: a store that
 * comes later faults and is found next time; a store that came earlier is visible to who reads the page
 * after that. So nothing falls between, however often a page is written while it is sent.
 *
 * It sees every write, the kernel's own (a file read into RAM) as well. What it does not see is a page
 * that is given back to the kernel (`os/madvise.ts`, `discard`): whoever does that marks it himself.
 *
 * @module
 */
import { StateError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { errnoName } from "../os/errno.ts";
import { Pagemap } from "../os/pagemap.ts";
import { probeHost } from "../os/probe.ts";
import {
  closeUserfaultfd,
  openUserfaultfd,
  register,
  UffdFeature,
  UffdMode,
  unregister,
} from "../os/userfaultfd.ts";
import { type DirtyLog, markDirty } from "./dirty_log.ts";
import { type HostRange, hostRanges } from "./host_range.ts";
import { markUntouched } from "./untouched.ts";

/** What a running log holds. */
interface Watch {
  readonly fd: number;
  readonly pagemap: Pagemap;
  readonly ranges: readonly HostRange[];
}

/** The log of the kernel; see `os/probe.ts`, `writeTracking`, for whether this host has it. */
export class KernelLog implements DirtyLog {
  readonly kind = "kernel";
  readonly #ram: GuestRam;
  #watch: Watch | undefined;

  /** @param ram What to watch. One log at a time can watch a memory. */
  constructor(ram: GuestRam) {
    this.#ram = ram;
  }

  start(): Promise<void> {
    return Promise.try(() => {
      if (this.#watch) throw new StateError("The dirty log runs already");
      this.#watch = watch(this.#ram);
      markUntouched(this.#ram);
    });
  }

  sync(): Promise<number> {
    return Promise.try(() => {
      if (!this.#watch) throw new StateError("The dirty log does not run");
      const { pagemap, ranges } = this.#watch;
      let fresh = 0;
      for (const range of ranges) fresh += collect(pagemap, range, this.#ram.pageSize);
      return fresh;
    });
  }

  stop(): Promise<void> {
    return Promise.try(() => {
      if (this.#watch) end(this.#watch);
      this.#watch = undefined;
    });
  }
}

function watch(ram: GuestRam): Watch {
  const lack = probeHost().writeTracking;
  if (lack !== undefined) throw refusal(lack);
  const ranges = hostRanges(ram)!;
  // Guest code runs in user mode, so the humbler kind will do; writes of system calls are noted too.
  const uffd = openUserfaultfd({ features: UffdFeature.writeProtectAsync, userModeOnly: true });
  if (typeof uffd === "number") throw refusal("userfaultfd does not open", uffd);
  const pagemap = Pagemap.open();
  if (typeof pagemap === "number") {
    closeUserfaultfd(uffd.fd);
    throw refusal("/proc/self/pagemap does not open", pagemap);
  }
  const watch = { fd: uffd.fd, pagemap, ranges };
  try {
    for (const range of ranges) protect(watch, range);
  } catch (error) {
    end(watch);
    throw error;
  }
  return watch;
}

/** Protects a range: all that the first question finds is of no interest. */
function protect({ fd, pagemap }: Watch, range: HostRange): void {
  const result = register(fd, range.start, range.end - range.start, UffdMode.writeProtect);
  if (result < 0) throw refusal(`RAM block ${range.block.name} cannot be watched`, result);
  for (let at = range.start; at < range.end; at = pagemap.resumeAt) {
    const found = pagemap.find("written", at, range.end);
    if (found < 0) throw refusal(`RAM block ${range.block.name} cannot be protected`, found);
  }
}

/** Marks what was written in a range since it was last protected. */
function collect(pagemap: Pagemap, range: HostRange, pageSize: number): number {
  const { block, start, end, offset } = range;
  let fresh = 0;
  for (let at = start; at < end; at = pagemap.resumeAt) {
    const count = pagemap.find("written", at, end);
    if (count < 0) throw refusal(`RAM block ${block.name} cannot be scanned`, count);
    for (let i = 0; i < count; i++) {
      const from = offset + pagemap.rangeStart(i) - start;
      const to = offset + pagemap.rangeEnd(i) - start;
      // The host's last page may be longer than the block, and be part of a larger target page.
      const last = Math.min(Math.ceil(to / pageSize), block.pageCount);
      fresh += markDirty(block, Math.floor(from / pageSize), last);
    }
  }
  return fresh;
}

function end({ fd, pagemap, ranges }: Watch): void {
  for (const { start, end } of ranges) unregister(fd, start, end - start);
  closeUserfaultfd(fd);
  pagemap.close();
}

function refusal(what: string, result?: number): StateError {
  const why = result === undefined ? "" : ` (${errnoName(result)})`;
  return new StateError(`The kernel's dirty log: ${what}${why}`, {
    advice: "Choose another dirty log",
  });
}
