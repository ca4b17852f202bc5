/**
 * What `query-migrate` returns (wire-format §11.4; QEMU `qapi/migration.json`, `MigrationInfo`): QMP's
 * keys, to which some of our own are added and none renamed.
 *
 * @module
 */
import type { SocketAddress } from "../transport/uri_channels.ts";
import type { ChannelInfo } from "./channel_info.ts";
import type { MigrationStatus } from "./migration_status.ts";

/** Figures of RAM; bytes and pages since the migration began. */
export interface RamInfo {
  /** Bytes sent on all channels. */
  readonly transferred: number;
  /** Bytes that are dirty now. */
  readonly remaining: number;
  /** All RAM, in bytes. */
  readonly total: number;
  /** Pages sent as zeros. */
  readonly duplicate: number;
  /** Pages sent with their content. */
  readonly normal: number;
  /** The same in bytes. */
  readonly "normal-bytes": number;
  /** Pages dirtied a second, between the last two syncs. */
  readonly "dirty-pages-rate": number;
  /** Megabits a second. */
  readonly mbps: number;
  /** How often the dirty log was read: the rounds. */
  readonly "dirty-sync-count": number;
  /** Pages the destination asked for. */
  readonly "postcopy-requests": number;
  /** The target page, in bytes. */
  readonly "page-size": number;
  /** Bytes sent on the channels of multifd. */
  readonly "multifd-bytes": number;
  /** Pages sent a second. */
  readonly "pages-per-second": number;
  /** Bytes sent while the guest ran here. */
  readonly "precopy-bytes": number;
  /** Bytes sent while it ran nowhere. */
  readonly "downtime-bytes": number;
  /** Bytes sent while it ran there. */
  readonly "postcopy-bytes": number;
  /** Always 0: nothing is sent by zero-copy. */
  readonly "dirty-sync-missed-zero-copy": number;
}

/** What XBZRLE did; pages and bytes since the migration began. */
export interface XbzrleCacheInfo {
  /** In bytes. */
  readonly "cache-size": number;
  /** Bytes sent of pages that were in the cache. */
  readonly bytes: number;
  /** Pages that were in the cache. */
  readonly pages: number;
  /** Pages that were not. */
  readonly "cache-miss": number;
  /** Their share of the pages sent lately. */
  readonly "cache-miss-rate": number;
  /** How much shorter the pages in the cache became lately. */
  readonly "encoding-rate": number;
  /** Pages that differed so much that they were sent whole. */
  readonly overflow: number;
}

/** One side's view of its migration; times in milliseconds. */
export interface MigrationInfo {
  /** Missing before anything happened. */
  readonly status?: MigrationStatus;
  /** Figures of RAM, once there are some. */
  readonly ram?: RamInfo;
  /** How long it has taken so far, or took. */
  readonly "total-time"?: number;
  /** How long it took until the first page was sent. */
  readonly "setup-time"?: number;
  /** How long the guest ran nowhere. */
  readonly downtime?: number;
  /** How long the guest would run nowhere if it were stopped now. */
  readonly "expected-downtime"?: number;
  /** How much of its time is taken from the guest. */
  readonly "cpu-throttle-percentage"?: number;
  /** The longest sleep of a vCPU with a dirty limit between two slices of its time, in microseconds. */
  readonly "dirty-limit-throttle-time-per-round"?: number;
  /** How long such a slice is, in microseconds. */
  readonly "dirty-limit-ring-full-time"?: number;
  /** What XBZRLE did, where it is on. */
  readonly "xbzrle-cache"?: XbzrleCacheInfo;
  /** What went wrong. */
  readonly "error-desc"?: string;
  /** Why the machine cannot be moved now. */
  readonly "blocked-reasons"?: readonly string[];
  /** Where a destination listens. */
  readonly "socket-address"?: readonly SocketAddress[];
  /** Destination: for how long all vCPUs stood still for pages, and for how long each. */
  readonly "postcopy-blocktime"?: number;
  /** The same of each vCPU. */
  readonly "postcopy-vcpu-blocktime"?: readonly number[];
  /** Destination: the average latency of a page fault, of all, of each vCPU, of others; nanoseconds. */
  readonly "postcopy-latency"?: number;
  /** The same of each vCPU. */
  readonly "postcopy-vcpu-latency"?: readonly number[];
  /** The same of threads that are no vCPUs. */
  readonly "postcopy-non-vcpu-latency"?: number;
  /** Destination: how many faults took 2^N to 2^(N+1) microseconds, for each N from 0. */
  readonly "postcopy-latency-dist"?: readonly number[];
  /** Ours: half and 99 percent of the faults took no longer, in nanoseconds. */
  readonly "postcopy-latency-p50"?: number;
  /** What 99 of 100 faults take at most. */
  readonly "postcopy-latency-p99"?: number;
  /** Ours: how a guest is kept from pages that have not come, and why not better. */
  readonly "postcopy-faults"?: string;
  /** Ours: each multifd channel's share. */
  readonly "multifd-channels"?: readonly ChannelInfo[];
  /** Ours: how writes are noticed, and why not better. */
  readonly "dirty-log"?: string;
  /** Ours: what `demo` found, once it has looked at every page. */
  readonly verified?: boolean;
}

/** A QMP event as this program emits it. */
export type MigrationEvent =
  | { readonly event: "MIGRATION"; readonly data: { readonly status: MigrationStatus } }
  | { readonly event: "MIGRATION_PASS"; readonly data: { readonly pass: number } }
  | { readonly event: "UNPLUG_PRIMARY"; readonly data: { readonly "device-id": string } }
  | { readonly event: "STOP" | "RESUME" };
