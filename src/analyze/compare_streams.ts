/**
 * Compares the machines of two streams: configuration, blocks and their pages, devices.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Analysis } from "./analysis.ts";
import { compareDevices } from "./compare_devices.ts";
import {
  type BlockDifference,
  type Compared,
  type Difference,
  pairs,
  type StreamDifference,
} from "./difference.ts";
import type { WalkedBlock } from "./walked_block.ts";

/** Runs of pages that are listed of one block. */
const RANGES_MAX = 64;

/**
 * Compares two streams. Pages that never came are zeros, as they are on a destination.
 * @param first One side, walked over whole.
 * @param second The other.
 */
export function compareStreams(first: Compared, second: Compared): StreamDifference {
  return {
    machine: compareMachines(first.analysis, second.analysis),
    blocks: compareBlocks(first, second),
    devices: compareDevices(first.analysis, second.analysis),
  };
}

function compareMachines(first: Analysis, second: Analysis): Difference[] {
  const facts = ({ configuration, pageSize }: Analysis): [string, string | undefined][] => [
    ["machine", configuration?.machine],
    ["target page", String(pageSize)],
    ["capabilities", configuration?.capabilities.toSorted().join(", ") || undefined],
    ["UUID", configuration?.uuid?.toHex()],
  ];
  return pairs(new Map(facts(first)), new Map(facts(second)))
    .filter((each) => each.first !== each.second)
    .map((each) => ({ what: each.name, first: each.first, second: each.second }));
}

function compareBlocks(first: Compared, second: Compared): BlockDifference[] {
  const byName = ({ analysis }: Compared) =>
    new Map((analysis.ram?.blocks ?? []).map((block) => [block.name, block]));
  const differences: BlockDifference[] = [];
  for (const { name: block, first: a, second: b } of pairs(byName(first), byName(second))) {
    if (!a || !b) {
      differences.push({ block, in: a ? "first" : "second", pages: 0, ranges: [], rangeCount: 0 });
      continue;
    }
    const found = comparePages(first, a, second, b);
    const resized = a.length !== b.length;
    if (found.pages === 0 && !resized) continue;
    const length = resized ? { length: [a.length, b.length] as const } : {};
    differences.push({ block, in: "both", ...length, ...found });
  }
  return differences;
}

function comparePages(
  first: Compared,
  a: WalkedBlock,
  second: Compared,
  b: WalkedBlock,
): Pick<BlockDifference, "pages" | "ranges" | "rangeCount"> {
  const { pageSize } = a;
  const zeros = new Uint8Array(pageSize);
  const ranges: [number, number][] = [];
  let pages = 0;
  let rangeCount = 0;
  let end = -1;
  // Pages of two sizes are not compared: the machines differ, and that is said.
  const count = pageSize === b.pageSize ? Math.min(a.pages, b.pages) : 0;
  for (let page = 0; page < count; page++) {
    const places = [first.table.placeOf(a, page), second.table.placeOf(b, page)] as const;
    if (isZero(first, places[0]) && isZero(second, places[1])) continue;
    const mine = first.reader.content(a, page) ?? zeros;
    const other = second.reader.content(b, page) ?? zeros;
    if (Buffer.compare(mine, other) === 0) continue;
    pages++;
    if (page !== end) rangeCount++;
    if (page === end && rangeCount <= RANGES_MAX) ranges.at(-1)![1] += pageSize;
    else if (page !== end && rangeCount <= RANGES_MAX) ranges.push([page * pageSize, pageSize]);
    end = page + 1;
  }
  return { pages, ranges, rangeCount };
}

function isZero({ table }: Compared, place: number): boolean {
  return place === 0 || table.fillOf(place) === 0;
}
