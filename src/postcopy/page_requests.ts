/**
 * Requests for pages, as a destination sends them (wire-format §3 and §8.6; QEMU
 * `migration/migration.c`, `migrate_send_rp_message_req_pages`): the first names its block, and so does
 * each for another block than the one before.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { encodeReturnPathMessage } from "../wire/return_path.ts";

/** Collects requests of one connection until they are sent. */
export class PageRequests {
  #previous: RamBlock | undefined;
  #messages: Uint8Array[] = [];

  /** @param pageSize The target page, in bytes. */
  constructor(private readonly pageSize: number) {}

  /** Adds a request. @param page The first target page of a page of the host. */
  add(block: RamBlock, page: number): void {
    this.#messages.push(encodeReturnPathMessage({
      type: "REQ_PAGES",
      block: block === this.#previous ? undefined : block.name,
      start: page * this.pageSize,
      length: block.hostPageSize,
    }));
    this.#previous = block;
  }

  /** What was added since the last call; `undefined` if nothing was. */
  take(): Uint8Array[] | undefined {
    if (this.#messages.length === 0) return undefined;
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  /** Adds everything that was asked for and has not come: the connection is a new one. */
  addOutstanding(ram: GuestRam): void {
    this.#previous = undefined;
    this.#messages = [];
    for (const block of ram.blocks) {
      const { requested, received } = block;
      for (let page = 0; (page = requested.next(page)) < block.pageCount; page++) {
        if (!received.has(page)) this.add(block, page);
      }
    }
  }
}
