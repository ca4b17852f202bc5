/**
 * Where the guest `stress` takes its text from: lines as a service would log them, some 4 KiB.
 *
 * @module
 */

const VERBS = ["opened", "closed", "stored", "loaded", "moved", "refused", "retried"];
const NOUNS = ["session", "cursor", "snapshot", "player", "room", "inventory", "lease", "message"];
const ENDS = ["in time", "after a timeout", "by the owner", "from cache", "for the second time"];

/**
 * Makes the text.
 * @param length How many bytes; the lines go round if there are more.
 */
export function logText(length: number): Uint8Array {
  const lines: string[] = [];
  for (let i = 0; i < 128; i++) {
    const verb = VERBS[i * 5 % VERBS.length];
    const noun = NOUNS[i * 3 % NOUNS.length];
    const end = ENDS[i * 2 % ENDS.length];
    const time = String(i * 7919 % 86_400).padStart(5, "0");
    lines.push(`${time} info ${noun} ${i * 2_654_435 % 100_003} ${verb} ${end}\n`);
  }
  const bytes = new TextEncoder().encode(lines.join(""));
  return Uint8Array.from({ length }, (_, i) => bytes[i % bytes.length]!);
}
