/**
 * What a stream is, for people: machine, RAM, table of contents, what is odd. And the same as an object.
 *
 * @module
 */
import type { Analysis, WalkedElement } from "./analysis.ts";
import { BitmapWalk, type WalkedBitmap } from "./live_sections.ts";
import { layOutTable, visible } from "./text_table.ts";

/** A block's pages as numbers. */
export interface BlockSummary {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly pages: number;
  /** Page records of each kind. */
  readonly normal: number;
  readonly zero: number;
  readonly xbzrle: number;
  readonly compressed: number;
  /** Pages that came more than once. */
  readonly again: number;
  /** Pages that never came. */
  readonly missing: number;
  /** Guest-physical address, in hexadecimal, where the stream says it. */
  readonly address?: string;
}

/** A stream as an object. */
export interface Summary {
  readonly file: string;
  /** Bytes that were walked over. */
  readonly size: number;
  readonly machine: string | undefined;
  readonly uuid: string | undefined;
  readonly capabilities: readonly string[];
  /** The target page, in bytes. */
  readonly "page-size": number;
  readonly blocks: readonly BlockSummary[];
  readonly rounds: readonly { readonly offset: number; readonly pages: number; zero: number }[];
  readonly bitmaps: readonly WalkedBitmap[];
  readonly elements: readonly WalkedElement[];
  readonly description: { readonly offset: number; size: number; devices: number } | undefined;
  readonly trailing: { readonly offset: number; readonly size: number } | undefined;
  readonly odd: readonly string[];
  readonly failure: string | undefined;
}

/** Puts what is known of a stream into an object. */
export function summarize(analysis: Analysis): Summary {
  const { configuration, ram, description } = analysis;
  return {
    file: analysis.name,
    size: analysis.size,
    machine: configuration?.machine,
    uuid: configuration?.uuid && uuidText(configuration.uuid),
    capabilities: configuration?.capabilities ?? [],
    "page-size": analysis.pageSize,
    blocks: (ram?.blocks ?? []).map((block) => ({
      ...{ name: block.name, size: block.length, pages: block.pages },
      ...block.records,
      ...{ again: block.sentAgain, missing: block.pages - block.sent },
      ...(block.address === undefined ? {} : { address: `0x${block.address.toString(16)}` }),
    })),
    rounds: (ram?.rounds ?? []).map(({ offset, pages, zeroPages }) => ({
      ...{ offset, pages, zero: zeroPages },
    })),
    bitmaps: bitmapsOf(analysis),
    elements: analysis.elements,
    description: description && {
      offset: description.offset,
      size: description.length,
      devices: description.deviceCount,
    },
    trailing: analysis.trailing,
    odd: oddities(analysis),
    failure: analysis.failure?.message,
  };
}

/** Puts what is known of a stream into words and tables. */
export function summaryText(analysis: Analysis): string {
  const summary = summarize(analysis);
  return [
    ...headline(summary),
    ...(summary.blocks.length > 0 ? ["", ...ramText(summary, analysis)] : []),
    ...(summary.bitmaps.length > 0 ? ["", ...bitmapText(summary)] : []),
    "",
    ...elementText(summary),
    ...(summary.odd.length > 0 ? ["", "Odd:", ...summary.odd.map((each) => `  ${each}`)] : []),
  ].map(visible).join("\n") + "\n";
}

function headline(summary: Summary): string[] {
  const { machine, capabilities, uuid, description, trailing } = summary;
  return [
    `${summary.file}: ${machine ?? "a machine without a name"}, ${bytes(summary.size)}, ` +
    `target page ${bytes(summary["page-size"])}`,
    ...(uuid === undefined ? [] : [`UUID ${uuid}`]),
    ...(capabilities.length === 0 ? [] : [`Capabilities: ${capabilities.join(", ")}`]),
    description
      ? `Description: ${bytes(description.size)} for ${count(description.devices, "device")}`
      : "No description: devices are bytes that nobody takes apart",
    ...(trailing ? [`After the stream: ${bytes(trailing.size)} at ${hex(trailing.offset)}`] : []),
  ];
}

function ramText({ blocks, rounds }: Summary, { ram }: Analysis): string[] {
  const total = blocks.reduce((sum, block) => sum + block.size, 0);
  const mapped = ram!.dialect.mappedRam;
  const kinds = (["normal", "zero", "xbzrle", "compressed"] as const).filter((kind) =>
    kind === "normal" || kind === "zero" || blocks.some((block) => block[kind] > 0)
  );
  return [
    `RAM: ${bytes(total)} in ${count(blocks.length, "block")}, ` +
    (mapped ? "every page at its place" : count(rounds.length, "round")),
    ...layOutTable([
      ["block", "size", "pages", ...kinds, "again", "not sent"],
      ...blocks.map((block) => [
        ...[block.name, bytes(block.size), number(block.pages)],
        ...kinds.map((kind) => number(block[kind])),
        ...[number(block.again), number(block.missing)],
      ]),
    ], { left: [0] }),
    ...(rounds.length > 1
      ? layOutTable([
        ["round", "at", "pages", "zero"],
        ...rounds.slice(0, ROUNDS_SHOWN).map(({ offset, pages, zero }, i) => [
          ...[number(i + 1), hex(offset), number(pages), number(zero)],
        ]),
      ], { left: [] })
      : []),
    ...(rounds.length > ROUNDS_SHOWN ? [`  and ${rounds.length - ROUNDS_SHOWN} rounds more`] : []),
  ];
}

/** Rounds that are listed for people. */
const ROUNDS_SHOWN = 20;

function bitmapText({ bitmaps }: Summary): string[] {
  return [
    "Dirty bitmaps:",
    ...layOutTable([
      ["node", "bitmap", "granularity", "bits", ""],
      ...bitmaps.map((each) => [
        ...[each.node, each.name, bytes(each.granularity), bytes(each.bytes)],
        [
          each.enabled ? "enabled" : "disabled",
          ...(each.persistent ? ["persistent"] : []),
          ...(each.complete ? [] : ["incomplete"]),
        ].join(", "),
      ]),
    ], { left: [0, 1, 4] }),
  ];
}

function elementText({ elements }: Summary): string[] {
  return [
    "Elements, in order:",
    ...layOutTable([
      ["at", "size", "", "what", "version"],
      ...elements.map((element) => [
        hex(element.offset),
        number(element.size),
        element.kind + (element.count > 1 ? ` ×${number(element.count)}` : ""),
        (element.packaged ? "  " : "") + element.name +
        (element.detail === "" ? "" : `: ${element.detail}`),
        element.versionId === undefined ? "" : String(element.versionId),
      ]),
    ], { left: [2, 3] }),
  ];
}

function oddities(analysis: Analysis): string[] {
  const { ram } = analysis;
  const odd = [...analysis.oddities];
  if (ram && ram.multifdFlushes > 0) {
    odd.push(
      `Pages went over multifd channels, which are not here (${ram.multifdFlushes} synchronizations).`,
    );
  }
  const missing = ram?.blocks.reduce((sum, { pages, sent }) => sum + pages - sent, 0) ?? 0;
  if (ram && missing > 0 && analysis.ended && !ram.dialect.mappedRam && !ram.dialect.ignoreShared) {
    odd.push(`${count(missing, "page")} did not come here: over other channels, or not at all.`);
  }
  if (analysis.trailing) {
    odd.push(`${analysis.trailing.size} bytes follow the stream and belong to nothing.`);
  }
  for (const each of bitmapsOf(analysis)) {
    if (!each.complete) odd.push(`Dirty bitmap ${each.name} of ${each.node} is not complete.`);
  }
  if (!analysis.ended && !analysis.failure) odd.push("The stream has no end mark.");
  return odd;
}

function bitmapsOf(analysis: Analysis): WalkedBitmap[] {
  return [...analysis.sections.values()].flatMap(({ live }) =>
    live instanceof BitmapWalk ? live.bitmaps : []
  );
}

function uuidText(uuid: Uint8Array): string {
  return uuid.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Exact in the largest unit that divides it, otherwise with a digit. */
function bytes(size: number): string {
  let value = size;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** With its thousands apart; loading a locale to do so would take most of a short run. */
function number(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

function count(value: number, what: string): string {
  return `${number(value)} ${what}${value === 1 ? "" : "s"}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
