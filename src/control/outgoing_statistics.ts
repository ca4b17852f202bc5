/**
 * What an outgoing migration measures, and the figures `query-migrate` makes of it.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { ChannelCounters } from "../threads/channel_counters.ts";
import { channelInfos, type NamedCounters } from "./channel_info.ts";
import type { MigrationInfo, RamInfo } from "./migration_info.ts";
import { isRunning, type MigrationStatus } from "./migration_status.ts";

/** Bandwidth is measured over at least this long, in milliseconds. */
const WINDOW_MS = 100;

/** Where the guest ran while bytes were sent. */
type Phase = "precopy" | "downtime" | "postcopy";

/** One migration's figures; times in milliseconds. */
export class OutgoingStatistics {
  readonly #start = performance.now();
  readonly #channels: ChannelCounters[] = [];
  readonly #requests: { readonly count: number }[] = [];
  #multifd: readonly NamedCounters[] = [];
  readonly #bytes: Record<Phase, number> = { precopy: 0, downtime: 0, postcopy: 0 };
  #phase: Phase = "precopy";
  #phaseStart = 0;
  #setupEnd: number | undefined;
  #stop: number | undefined;
  #downtime: number | undefined;
  #end: number | undefined;
  #window = { time: this.#start, bytes: 0, pages: 0 };
  #mbps = 0;
  #pagesPerSecond = 0;
  #bandwidth = 0;
  #sync = { time: this.#start, count: 0 };
  #dirtyPagesRate = 0;
  /** What the downtime would be now, in milliseconds. */
  expectedDowntime: number;

  /**
   * @param ram What is migrated.
   * @param downtimeLimit What is expected of the downtime until something is known, in milliseconds.
   */
  constructor(private readonly ram: GuestRam, downtimeLimit: number) {
    this.expectedDowntime = downtimeLimit;
  }

  /** Adds a channel's counters. */
  addChannel(counters: ChannelCounters): void {
    this.#channels.push(counters);
  }

  /** Adds what counts the pages that a destination asks for. */
  addRequests(requests: { readonly count: number }): void {
    this.#requests.push(requests);
  }

  /** Adds the multifd channels' counters. */
  addMultifd(channels: readonly NamedCounters[]): void {
    this.#multifd = channels;
    for (const { counters } of channels) this.addChannel(counters);
  }

  /** Bytes sent on all channels. */
  get transferred(): number {
    return this.#sum("bytes");
  }

  /** Milliseconds since the migration began. */
  get elapsed(): number {
    return performance.now() - this.#start;
  }

  /** Bytes of pages a millisecond: what the rest can be expected to take. 0 while unknown. */
  get bandwidth(): number {
    return this.#bandwidth;
  }

  /** The setup is over. */
  setupDone(): void {
    this.#setupEnd = performance.now();
    this.#window.time = this.#setupEnd;
  }

  /** The guest is being stopped. */
  guestStops(): void {
    this.#stop = performance.now();
    this.#turnTo("downtime");
  }

  /** The guest runs again, here or there. */
  guestRuns(): void {
    if (this.#stop !== undefined) this.#downtime ??= performance.now() - this.#stop;
    this.#turnTo("postcopy");
  }

  /** The migration is over. */
  ended(): void {
    this.#end = performance.now();
    this.#turnTo(this.#phase);
    const time = this.#end - (this.#setupEnd ?? this.#start);
    if (time > 0) {
      this.#mbps = this.transferred * 8 / time / 1000;
      this.#pagesPerSecond = this.pages / time * 1000;
    }
  }

  /**
   * The dirty log was read.
   * @param dirtied How many pages were dirtied since the last time.
   */
  synced(dirtied: number): void {
    const now = performance.now();
    if (this.#sync.count > 0 && now > this.#sync.time) {
      this.#dirtyPagesRate = dirtied / (now - this.#sync.time) * 1000;
    }
    this.#sync = { time: now, count: this.#sync.count + 1 };
  }

  /** How often the dirty log was read. */
  get syncs(): number {
    return this.#sync.count;
  }

  /**
   * Brings the bandwidth up to date.
   * @param limit `max-bandwidth`, in bytes per second; 0 is none. What passes is in bursts, one of them
   * in each slice of the limit, and a window may have one burst more than slices.
   * @param force Even if the window is short, as long as there is no other figure: in a few milliseconds
   * there may be nothing but a header, or a whole slice's burst.
   */
  measure(limit = 0, force = false): void {
    const now = performance.now();
    const time = now - this.#window.time;
    if (time < (force && this.#bandwidth === 0 ? 1 : WINDOW_MS)) return;
    const bytes = this.transferred;
    const pages = this.pages;
    const sent = bytes - this.#window.bytes;
    const content = (this.#sum("normalPages") + this.#sum("encodedPages")) * this.ram.pageSize;
    if (sent === 0 && content === this.#contentBefore) return;
    const least = limit === 0 ? time : Math.max(time, sent / limit * 1000);
    this.#mbps = sent * 8 / least / 1000;
    this.#pagesPerSecond = (pages - this.#window.pages) / least * 1000;
    // Compressed or not: what counts is how many of the pages with content pass.
    this.#bandwidth = Math.max(sent, content - this.#contentBefore) / least;
    this.#contentBefore = content;
    this.#window = { time: now, bytes, pages };
  }
  #contentBefore = 0;

  /** The object that `query-migrate` returns. */
  info(status: MigrationStatus, remaining: number): MigrationInfo {
    if (status === "none") return {};
    if (["setup", "wait-unplug", "failed", "cancelled"].includes(status)) return { status };
    const over = !isRunning(status);
    const total = (this.#end ?? performance.now()) - this.#start;
    return {
      status,
      "total-time": Math.round(total),
      ...(this.#setupEnd !== undefined &&
        { "setup-time": Math.round(this.#setupEnd - this.#start) }),
      ...(this.#downtime !== undefined && { downtime: Math.round(this.#downtime) }),
      ...(!over && this.#downtime === undefined &&
        { "expected-downtime": Math.round(this.expectedDowntime) }),
      ram: this.#ramInfo(over, remaining),
      ...(this.#multifd.length > 0 && { "multifd-channels": channelInfos(this.#multifd) }),
    };
  }

  #ramInfo(over: boolean, remaining: number): RamInfo {
    const { pageSize, length } = this.ram;
    const normal = this.#sum("normalPages");
    const bytes = { ...this.#bytes };
    bytes[this.#phase] += this.transferred - this.#phaseStart;
    return {
      transferred: this.transferred,
      remaining: over ? 0 : remaining,
      total: length,
      duplicate: this.#sum("zeroPages"),
      normal,
      "normal-bytes": normal * pageSize,
      "dirty-pages-rate": over ? 0 : Math.round(this.#dirtyPagesRate),
      mbps: this.#mbps,
      "dirty-sync-count": this.#sync.count,
      "postcopy-requests": this.#requests.reduce((sum, { count }) => sum + count, 0),
      "page-size": pageSize,
      "multifd-bytes": this.#multifd.reduce((sum, { counters }) => sum + counters.get("bytes"), 0),
      "pages-per-second": Math.round(this.#pagesPerSecond),
      "precopy-bytes": bytes.precopy,
      "downtime-bytes": bytes.downtime,
      "postcopy-bytes": bytes.postcopy,
      "dirty-sync-missed-zero-copy": 0,
    };
  }

  /** Pages handled, in whatever way they were sent. */
  get pages(): number {
    return this.#sum("normalPages") + this.#sum("zeroPages") + this.#sum("encodedPages");
  }

  #turnTo(phase: Phase): void {
    const transferred = this.transferred;
    this.#bytes[this.#phase] += transferred - this.#phaseStart;
    this.#phaseStart = transferred;
    this.#phase = phase;
  }

  #sum(counter: Parameters<ChannelCounters["get"]>[0]): number {
    return this.#channels.reduce((sum, channel) => sum + channel.get(counter), 0);
  }
}
