/**
 * What is compared, and what is to come out of it.
 *
 * @module
 */
import type { Content } from "./content.ts";
import type { Setup } from "./process.ts";

/** One row of the table. */
export interface Case {
  readonly content: Content;
  readonly method: "none" | "zlib" | "zstd";
  /** How many multifd channels; 0: no multifd, all on the main channel. */
  readonly channels: number;
  /** Whether all channels are encrypted, with certificates on both sides. */
  readonly tls?: boolean;
  /** How many times as fast as QEMU, at least. */
  readonly goal?: number;
}

/** The rows. */
export const CASES: readonly Case[] = [
  { content: "untouched", method: "none", channels: 2, goal: 3.0 },
  { content: "incompressible", method: "none", channels: 2, goal: 1.8 },
  { content: "incompressible", method: "none", channels: 8, goal: 1.8 },
  { content: "incompressible", method: "none", channels: 0 },
  { content: "text", method: "zstd", channels: 2, goal: 1.4 },
  { content: "text", method: "zlib", channels: 2, goal: 1.3 },
  { content: "mixed", method: "none", channels: 2, goal: 1.8 },
  { content: "incompressible", method: "none", channels: 2, tls: true },
  { content: "incompressible", method: "none", channels: 4, tls: true },
];

/** A row's name, by which it is chosen. */
export function nameOf({ content, method, channels, tls }: Case): string {
  const how = channels === 0 ? "single channel" : `${channels} channels`;
  return `${content}, ${method}, ${how}${tls ? ", tls" : ""}`;
}

/**
 * How both sides are told to do it.
 * @param credentials The folder with certificates and keys of both sides.
 */
export function setupOf(
  { method, channels, tls }: Pick<Case, "method" | "channels" | "tls">,
  credentials?: string,
): Setup {
  if (channels === 0) return { multifd: false, parameters: {} };
  return {
    multifd: true,
    ...tls && credentials !== undefined && { credentials },
    parameters: {
      "multifd-channels": channels,
      "multifd-compression": method,
      "multifd-zlib-level": 1,
      "multifd-zstd-level": 1,
    },
  };
}
