/**
 * XBZRLE as the outgoing migration's control side sees it (wire-format §5.7 and §11.4; QEMU
 * `migration/ram.c`, `migration_update_rates`): when it begins, how large its cache is, what came of it.
 *
 * @module
 */
import { XbzrleControl } from "../ram/xbzrle_control.ts";
import type { XbzrleCacheInfo } from "./migration_info.ts";
import type { Parameters } from "./parameters.ts";

/** Rates are taken over at least this long, in milliseconds. */
const PERIOD_MS = 1000;

/** One migration's XBZRLE. */
export class OutgoingXbzrle {
  readonly #control: XbzrleControl;
  #period = { time: performance.now(), pages: 0, cacheMiss: 0, cached: 0, bytes: 0 };
  #missRate = 0;
  #encodingRate = 0;

  /**
   * @param parameters The migration's.
   * @param pageSize The target page, in bytes.
   */
  constructor(parameters: Parameters, private readonly pageSize: number) {
    this.#control = XbzrleControl.create(parameters["xbzrle-cache-size"]);
  }

  /** What the worker of the main channel gets. */
  get buffer(): SharedArrayBuffer {
    return this.#control.buffer;
  }

  /** Takes a changed `xbzrle-cache-size`; the cache then begins empty. */
  setParameters(parameters: Parameters): void {
    this.#control.cacheSize = parameters["xbzrle-cache-size"];
  }

  /**
   * A round is over and the next one begins.
   * @param syncs How often the dirty log was read: the round's number. The first round's pages are
   * nothing to differ from.
   * @param pages How many pages were handled since the migration began.
   * @param lastStage Whether the guest is stopped.
   */
  synced(syncs: number, pages: number, lastStage: boolean): void {
    this.#control.lastStage = lastStage;
    this.#control.round = syncs;
    this.#measure(pages);
  }

  /** What `query-migrate` says of it. */
  info(): XbzrleCacheInfo {
    const control = this.#control;
    return {
      "cache-size": control.cacheSize,
      bytes: control.counter("bytes"),
      pages: control.counter("pages"),
      "cache-miss": control.counter("cacheMiss"),
      "cache-miss-rate": this.#missRate,
      "encoding-rate": this.#encodingRate,
      overflow: control.counter("overflow"),
    };
  }

  #measure(pages: number): void {
    const time = performance.now();
    const before = this.#period;
    if (time - before.time < PERIOD_MS || pages === before.pages) return;
    const now = {
      ...{ time, pages },
      cacheMiss: this.#control.counter("cacheMiss"),
      cached: this.#control.counter("pages"),
      bytes: this.#control.counter("bytes"),
    };
    this.#missRate = (now.cacheMiss - before.cacheMiss) / (pages - before.pages);
    const bytes = now.bytes - before.bytes;
    this.#encodingRate = bytes > 0 ? (now.cached - before.cached) * this.pageSize / bytes : 0;
    this.#period = now;
  }
}
