/**
 * Differences between two streams, in words.
 *
 * @module
 */
import type {
  BlockDifference,
  DeviceDifference,
  Difference,
  Side,
  StreamDifference,
} from "./difference.ts";
import { isSame } from "./difference.ts";
import { visible } from "./text_table.ts";

/** Runs of pages that are listed of one block. */
const RANGES_SHOWN = 10;

/**
 * Puts differences into lines.
 * @param difference What was found.
 * @param names What the two streams are called.
 */
export function differenceText(
  difference: StreamDifference,
  names: readonly [string, string],
): string {
  if (isSame(difference)) return `${names[0]} and ${names[1]} hold the same machine\n`;
  const { machine, blocks, devices } = difference;
  const only = (side: Side) => `only in ${names[side === "first" ? 0 : 1]}`;
  return [
    `${names[0]} -> ${names[1]}`,
    ...machine.map(changeText),
    ...blocks.flatMap((block) => blockText(block, only)),
    ...devices.flatMap((device) => deviceText(device, only)),
  ].map(visible).join("\n") + "\n";
}

function changeText({ what, first, second }: Difference): string {
  return `${what}: ${first ?? "(nothing)"} -> ${second ?? "(nothing)"}`;
}

function blockText(block: BlockDifference, only: (side: Side) => string): string[] {
  const head = `RAM block ${block.block}:`;
  if (block.in !== "both") return [`${head} ${only(block.in)}`];
  const hidden = block.rangeCount - RANGES_SHOWN;
  return [
    ...(block.length ? [`${head} ${block.length[0]} bytes -> ${block.length[1]} bytes`] : []),
    ...(block.pages > 0
      ? [`${head} ${counted(block.pages, "page")} in ${counted(block.rangeCount, "run")}`]
      : []),
    ...block.ranges.slice(0, RANGES_SHOWN).map(([offset, length]) =>
      `  0x${offset.toString(16)} to 0x${(offset + length).toString(16)}`
    ),
    ...(hidden > 0 ? [`  and ${counted(hidden, "run")} more`] : []),
  ];
}

function deviceText(device: DeviceDifference, only: (side: Side) => string): string[] {
  if (device.in !== "both") return [`${device.device}: ${only(device.in)}`];
  const hidden = device.count - device.fields.length;
  return [
    `${device.device}: ${counted(device.count, "value")}`,
    ...device.fields.map((field) => `  ${changeText(field)}`),
    ...(hidden > 0 ? [`  and ${counted(hidden, "value")} more`] : []),
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
