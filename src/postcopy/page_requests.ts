/**
 * Requests for pages, as a destination sends them (wire-format §3 and §8.6; QEMU
 * `migration/migration.c`, `migrate_send_rp_message_req_pages`): the first names its block, and so does
 * each for another block than the one before.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { encodeReturnPathMessage, putPlainRequest } from "../wire/return_path.ts";

/** The longest request, in bytes. */
const MESSAGE_MAX = 512;

/** Collects requests of one connection until they are sent. */
export class PageRequests {
  #previous: RamBlock | undefined;
  #bytes = new Uint8Array(4096);
  #end = 0;

  /** @param pageSize The target page, in bytes. */
  constructor(private readonly pageSize: number) {}

  /** Adds a request. @param page The first target page of a page of the host. */
  add(block: RamBlock, page: number): void {
    if (this.#end + MESSAGE_MAX > this.#bytes.length) this.#grow();
    const start = page * this.pageSize;
    const length = block.hostPageSize;
    if (block === this.#previous) {
      this.#end = putPlainRequest(this.#bytes, this.#end, { start, length });
      return;
    }
    const { name } = block;
    const message = encodeReturnPathMessage({ type: "REQ_PAGES", block: name, start, length });
    this.#bytes.set(message, this.#end);
    this.#end += message.length;
    this.#previous = block;
  }

  #grow(): void {
    const bytes = new Uint8Array(2 * this.#bytes.length);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }

  /** The messages since the last call, to be used before the next one; `undefined` if there are none. */
  take(): Uint8Array | undefined {
    if (this.#end === 0) return undefined;
    const messages = this.#bytes.subarray(0, this.#end);
    this.#end = 0;
    return messages;
  }

  /** Adds everything that was asked for and has not come: the connection is a new one. */
  addOutstanding(ram: GuestRam): void {
    this.#previous = undefined;
    this.#end = 0;
    for (const block of ram.blocks) {
      const { requested, received } = block;
      for (let page = 0; (page = requested.next(page)) < block.pageCount; page++) {
        if (!received.has(page)) this.add(block, page);
      }
    }
  }
}
