/**
 * Sends zero pages ahead of the others, as records on the main channel: what a multifd migration does
 * whose packets cannot list them (wire-format §5.8, `legacy`; QEMU `migration/ram.c`,
 * `ram_save_target_page_legacy`).
 *
 * The main channel's worker looks at a stretch of dirty pages first. It sends those that are zeros and
 * leaves the others dirty; after that the stretch is handed to the multifd channels.
 *
 * @module
 */
import type { PageScan, ScanPosition } from "../batch/page_scan.ts";
import type { OutgoingStream } from "./outgoing_stream.ts";

/** How many pages are looked at before they are handed on: enough to keep all channels busy. */
const STRETCH_PAGES = 8192;

/** Runs ahead of a scan. */
export class ZeroPass {
  /** Where the pages begin that were not looked at yet. */
  #end: ScanPosition | undefined;

  /** @param stream The main channel, whose encoder takes zero pages only. */
  constructor(private readonly stream: OutgoingStream) {}

  /** Begins a round. */
  restart(): void {
    this.#end = undefined;
  }

  /**
   * Looks at the next stretch, unless the scan is still inside the last one.
   * @param scan Stays where it is.
   * @param check Throws when going on has no point any more.
   */
  async advance(scan: PageScan, check: () => void): Promise<void> {
    const { position } = scan;
    if (this.#end && isBefore(position, this.#end)) return;
    for (let pages = 0; pages < STRETCH_PAGES;) {
      const ring = await this.stream.ringWithRoom(check);
      const pushed = scan.pushBatch(ring, this.stream.batchPages);
      if (pushed === 0) break;
      pages += pushed;
    }
    this.#end = scan.position;
    await this.stream.drained(check);
    scan.jumpTo(position.block, position.page);
  }
}

function isBefore(one: ScanPosition, other: ScanPosition): boolean {
  return one.block === other.block ? one.page < other.page : one.block < other.block;
}
