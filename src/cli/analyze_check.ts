/**
 * `analyze --check`: whether machines go from one program to another, by what `-dump-vmstate` wrote of both.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { SyncFile } from "../transport/sync_file.ts";
import { compareDumps } from "../vmstate/compare.ts";
import { comparisonJson, comparisonText } from "../vmstate/comparison_text.ts";
import { parseDump, type VmstateDump } from "../vmstate/dump.ts";
import type { AnalyzeArguments } from "./analyze_arguments.ts";
import { printText } from "./analyze_io.ts";

/**
 * Prints what breaks.
 * @returns The exit status: 1 if something does.
 * @throws {StreamFormatError} If a file is no such dump.
 */
export function checkPrograms(given: AnalyzeArguments): number {
  const [first, second] = given.images as [string, string];
  const { strict } = given;
  const comparison = compareDumps(readDump(first), readDump(second), { strict });
  const text = given.json
    ? comparisonJson(comparison) + "\n"
    : comparisonText(comparison, { first, second });
  printText(text);
  const counted = [...comparison.forward, ...(given.forward ? [] : comparison.backward)];
  return counted.some(({ breaks }) => breaks) ? 1 : 0;
}

function readDump(path: string): VmstateDump {
  using file = SyncFile.open(path);
  if (file.size > DUMP_MAX) throw new StreamFormatError(`${path} is too large for a dump`);
  const bytes = new Uint8Array(file.size);
  for (let at = 0; at < bytes.length;) {
    const got = file.read(bytes.subarray(at), at);
    if (got === 0) break;
    at += got;
  }
  try {
    return parseDump(new TextDecoder().decode(bytes));
  } catch (error) {
    throw error instanceof StreamFormatError
      ? new StreamFormatError(`${path}: ${error.what}`, { cause: error })
      : error;
  }
}

/** A dump of all of QEMU's devices has 2 MiB. */
const DUMP_MAX = 256 * 1024 * 1024;
