/**
 * One line that says how far a migration is: what was sent, what remains of how much, how fast, how fast
 * the guest makes more, which round, which state.
 *
 * @module
 */
import type { MigrationInfo } from "../control/migration_info.ts";
import { formatBytes } from "./amount.ts";
import { formatDuration } from "./duration.ts";

/** Bits in a megabit a second, as `mbps` counts them, to bytes. */
const BYTES_PER_MBPS = 1_000_000 / 8;

/** The source's line. */
export function outgoingLine(info: MigrationInfo): string {
  const { status = "none", ram } = info;
  if (!ram) return status;
  const parts = [
    `${status}:`.padEnd(8),
    `sent ${formatBytes(ram.transferred)},`,
    `${formatBytes(ram.remaining)} of ${formatBytes(ram.total)} left,`,
    `${formatBytes(ram.mbps * BYTES_PER_MBPS)}/s,`,
    `dirty ${formatBytes(ram["dirty-pages-rate"] * ram["page-size"])}/s,`,
    `round ${ram["dirty-sync-count"]}`,
  ];
  const downtime = info["expected-downtime"];
  if (downtime !== undefined && ram["dirty-sync-count"] > 1) { // in the first round it is the limit
    parts.push(`(downtime would be ${formatDuration(downtime)})`);
  }
  const throttle = info["cpu-throttle-percentage"];
  if (throttle) parts.push(`guest throttled ${throttle} %`);
  const brake = slowest(info);
  if (brake) parts.push(`, ${brake}`);
  return parts.join(" ");
}

/** The destination's line. @param received Bytes so far. @param rate Bytes a second. */
export function incomingLine(info: MigrationInfo, received: number, rate: number): string {
  const { status = "none" } = info;
  if (received === 0) return status;
  return `${status}: received ${formatBytes(received)}, ${formatBytes(rate)}/s`;
}

/** Which side is the brake: channels that mostly wait for their connection are faster than the peer. */
export function slowest({ "multifd-channels": channels }: MigrationInfo): string | undefined {
  if (!channels || channels.length === 0) return undefined;
  const sum = (key: "idle-time" | "wait-time") =>
    channels.reduce((total, channel) => total + channel[key], 0);
  const [idle, wait] = [sum("idle-time"), sum("wait-time")];
  if (wait > 2 * idle) return "the other side or the network is the brake";
  if (idle > 2 * wait) return "what feeds the channels is the brake";
  return undefined;
}
