/**
 * What a migration came to, as a table for people.
 *
 * @module
 */
import type { MigrationInfo } from "../control/migration_info.ts";
import { formatBytes, formatCount } from "./amount.ts";
import { formatDuration } from "./duration.ts";

/** The rows of one side's table, each a label and what it says. */
export function finalRows(info: MigrationInfo): (readonly [string, string])[] {
  const rows: (readonly [string, string])[] = [];
  const time = info["total-time"];
  if (time !== undefined) {
    const setup = info["setup-time"];
    rows.push([
      "time",
      formatDuration(time) +
      (setup === undefined ? "" : `, of which setup ${formatDuration(setup)}`),
    ]);
  }
  if (info.downtime !== undefined) rows.push(["downtime", formatDuration(info.downtime)]);
  const { ram } = info;
  if (ram) {
    const seconds = (time ?? 0) / 1000;
    const rate = seconds > 0 ? ` at ${formatBytes(ram.transferred / seconds)}/s` : "";
    rows.push(
      ["RAM", `${formatBytes(ram.total)} in ${ram["dirty-sync-count"]} rounds`],
      ["sent", formatBytes(ram.transferred) + rate],
      ["pages", `${formatCount(ram.normal)} with content, ${formatCount(ram.duplicate)} of zeros`],
    );
    if (ram["postcopy-requests"] > 0) {
      rows.push(["requested", `${formatCount(ram["postcopy-requests"])} pages`]);
    }
  }
  if (info["postcopy-faults"] !== undefined) rows.push(["missing pages", info["postcopy-faults"]]);
  const blocked = info["postcopy-blocktime"];
  if (blocked !== undefined) rows.push(["guest blocked", formatDuration(blocked)]);
  if (info["dirty-log"] !== undefined) rows.push(["dirty log", info["dirty-log"]]);
  for (const channel of info["multifd-channels"] ?? []) {
    rows.push([
      channel.name,
      `${formatBytes(channel.bytes)} in ${formatCount(channel.packets)} packets, ` +
      `idle ${formatDuration(channel["idle-time"])}, ` +
      `waited ${formatDuration(channel["wait-time"])} for the connection`,
    ]);
  }
  return rows;
}

/** Lays rows out below each other. */
export function layOut(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([label]) => label.length));
  return rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`);
}
