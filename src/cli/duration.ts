/**
 * Durations as a user writes and reads them.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/**
 * Reads a duration: `0`, `500ms`, `2s`, `1.5m`.
 * @param text What the user wrote.
 * @param what What it is for, for the message.
 * @returns In milliseconds.
 * @throws {UsageError} If it is none.
 */
export function parseDuration(text: string, what: string): number {
  if (text === "0") return 0;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (!match) {
    throw new UsageError(`${what} ${text} is not a duration`, {
      advice: "Write 0, or a number with ms, s, m or h, such as 500ms",
    });
  }
  return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
}

/** Writes a duration with a unit that suits it: `8 ms`, `1.24 s`, `2 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 120) return `${seconds.toFixed(2)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
