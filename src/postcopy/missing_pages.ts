/**
 * Who waits for which pages: either the kernel tells of threads in page faults, or guests say on the
 * board that they wait.
 *
 * @module
 */
import { GuestRam } from "../machine/guest_ram.ts";
import { Presence } from "../machine/presence.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { FaultReader } from "../os/fault_reader.ts";
import { addressOf, hostPageSize } from "../os/host_memory.ts";
import { wake, zeroPage } from "../os/userfaultfd.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { Blocktime, sharedTime } from "./blocktime.ts";

/** A range of addresses and what block it is of. */
interface AddressRange {
  readonly start: number;
  readonly end: number;
  /** What to subtract from an address to have the offset in the block. */
  readonly toBlock: number;
  readonly block: RamBlock;
}

/** Told of each page that somebody begins to wait for, by its page of the host's first target page. */
export type Missed = (block: RamBlock, page: number) => void;

/** Finds out what is waited for. */
export class MissingPages {
  readonly ram: GuestRam;
  readonly presence: Presence;
  readonly #blocktime: Blocktime;

  /** @param layout The RAM. */
  constructor(layout: MissingRamLayout) {
    this.ram = new GuestRam(layout.ram);
    this.presence = new Presence(layout.presence);
    this.#blocktime = new Blocktime(layout.blocktime);
  }

  /**
   * Somebody waits for a page.
   * @param vcpu Who, if it is a vCPU.
   * @returns The first page to be asked for, or `undefined` if it is there or was asked for.
   */
  wanted(vcpu: number | undefined, block: RamBlock, page: number): number | undefined {
    const first = page - page % (block.hostPageSize / this.ram.pageSize);
    if (block.received.has(first)) return undefined;
    const isNew = block.requested.add(first);
    this.#blocktime.begin(vcpu, block.index, first, sharedTime());
    if (block.received.has(first)) {
      // It came meanwhile, and who placed it may have seen nobody waiting.
      block.requested.delete(first);
      this.#blocktime.end(block.index, first, sharedTime());
      return undefined;
    }
    return isNew ? first : undefined;
  }
}

/** What guests wait for on the board. */
export class AskedPages extends MissingPages {
  /** Tells of all that is waited for now. */
  collect(missed: Missed): void {
    for (let vcpu = 0; vcpu < this.presence.vcpus; vcpu++) {
      const wanted = this.presence.wanted(vcpu);
      const block = wanted && this.ram.blocks[wanted.block];
      if (!block || wanted.page >= block.pageCount) continue;
      const first = this.wanted(vcpu, block, wanted.page);
      if (first !== undefined) missed(block, first);
    }
  }
}

/** What threads wait for in page faults. */
export class FaultPages extends MissingPages {
  readonly #userfaultfd: number;
  readonly #reader: FaultReader;
  readonly #ranges: readonly AddressRange[];

  /**
   * @param layout The RAM.
   * @param userfaultfd What watches it.
   * @param bell What ends a wait besides faults.
   */
  constructor(layout: MissingRamLayout, userfaultfd: number, bell: number) {
    super(layout);
    this.#userfaultfd = userfaultfd;
    this.#reader = new FaultReader(userfaultfd, bell);
    this.#ranges = this.ram.blocks.flatMap((block) =>
      block.segments.map(({ memory, base, offset, length }) => {
        const start = addressOf(memory)! + base;
        return { start, end: start + length, toBlock: start - offset, block };
      })
    );
  }

  /**
   * Blocks this thread until there are faults, and tells of them.
   * @param timeout In milliseconds.
   * @returns How many there were, or minus an errno.
   */
  wait(timeout: number, missed: Missed): number {
    const count = this.#reader.wait(timeout);
    for (let i = 0; i < count; i++) {
      const address = this.#reader.address(i);
      const range = this.#ranges.find(({ start, end }) => address >= start && address < end);
      if (!range) continue;
      const vcpu = this.presence.vcpuOf(this.#reader.thread(i));
      const page = Math.floor((address - range.toBlock) / this.ram.pageSize);
      if (range.block.received.has(page)) {
        this.#provideZeros(address);
        continue;
      }
      const first = this.wanted(vcpu, range.block, page);
      if (first !== undefined) missed(range.block, first);
    }
    return count;
  }

  /**
   * A page that came as zeros while the guest did not run here was not touched, and the kernel misses it.
   * If it came only now, it is there, and nothing is changed.
   */
  #provideZeros(address: number): void {
    const page = hostPageSize();
    zeroPage(this.#userfaultfd, address, page);
    wake(this.#userfaultfd, address, page);
  }
}
