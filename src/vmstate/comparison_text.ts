/**
 * Comparisons for people and for programs.
 *
 * @module
 */
import type { Comparison, Finding } from "./finding.ts";

/**
 * One finding as a sentence.
 * @param finding What `checkDump()` found.
 */
export function findingText(finding: Finding): string {
  const { section, description, field } = finding;
  const place = [
    section,
    description !== undefined && description !== section && description,
    field,
  ].filter(Boolean).join(", ");
  return `${place}: ${explain(finding)}`;
}

function explain({ kind, source, destination }: Finding): string {
  switch (kind) {
    case "section missing":
      return "the destination has no such device";
    case "entry missing":
      return `the destination has no ${String(source).toLowerCase()}`;
    case "version too new":
      return `version ${source} is sent, and the destination knows ${destination}`;
    case "version too old":
      return `version ${source} is sent, and the destination loads no older than ${destination}`;
    case "description differs":
      return `${source} is sent, and the destination expects ${destination}`;
    case "description missing":
      return `${source} is sent, and the destination expects a plain value`;
    case "field differs":
      return `the destination expects ${destination} here; the rest was not compared`;
    case "field missing":
      return "the destination has no further fields";
    case "size differs":
      return `${source} bytes are sent, and the destination expects ${destination}`;
    case "unused space differs":
      return "unused space does not end where this field does; the rest was not compared";
    case "subsection missing":
      return `the destination does not know subsection ${source}`;
    case "machine differs":
      return `the source is a ${source}, the destination a ${destination}`;
    case "field added":
      return "the destination reads it, and it is not sent";
    case "field skipped":
      return `it is sent, and the destination reads it since version ${destination} only`;
    case "length differs":
      return `${source} elements are sent, and the destination expects ${destination}`;
  }
}

/**
 * A comparison as lines of text, with what breaks first.
 * @param comparison What `compareDumps()` or `compareDescriptions()` found.
 * @param names What the two sides are called.
 */
export function comparisonText(
  comparison: Comparison,
  names: { readonly first: string; readonly second: string } = { first: "old", second: "new" },
): string {
  return [
    ...direction(`${names.first} to ${names.second}`, comparison.forward),
    ...direction(`${names.second} to ${names.first}`, comparison.backward),
  ].join("\n") + "\n";
}

function direction(title: string, findings: readonly Finding[]): string[] {
  const breaks = findings.filter((finding) => finding.breaks);
  const notes = findings.filter((finding) => !finding.breaks);
  const verdict = breaks.length === 0 ? "nothing breaks" : `${breaks.length} breaks`;
  return [
    `${title}: ${verdict}`,
    ...breaks.map((finding) => `  breaks: ${findingText(finding)}`),
    ...notes.map((finding) => `  note: ${findingText(finding)}`),
  ];
}

/**
 * A comparison as JSON.
 * @param comparison What `compareDumps()` or `compareDescriptions()` found.
 */
export function comparisonJson(comparison: Comparison): string {
  const side = (findings: readonly Finding[]) => ({
    compatible: !findings.some(({ breaks }) => breaks),
    findings: findings.map((finding) => ({ ...finding, text: findingText(finding) })),
  });
  return JSON.stringify(
    {
      forward: side(comparison.forward),
      backward: side(comparison.backward),
    },
    null,
    2,
  );
}
