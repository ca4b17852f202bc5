/**
 * What of `analyze` looks at pages: `-m`, `-x`, and two images.
 *
 * @module
 */
import type { Analysis } from "../analyze/analysis.ts";
import { analyzeStream } from "../analyze/analyze_stream.ts";
import { compareStreams } from "../analyze/compare_streams.ts";
import { type Compared, isSame } from "../analyze/difference.ts";
import { differenceText } from "../analyze/difference_text.ts";
import { extract } from "../analyze/extract.ts";
import { JsonWriter } from "../analyze/json_writer.ts";
import { PageReader, PageTable } from "../analyze/page_table.ts";
import { writeState } from "../analyze/state_output.ts";
import type { AnalyzeArguments } from "./analyze_arguments.ts";
import { openImage, print, printJson, printText, reportFailure, stdout } from "./analyze_io.ts";

/**
 * Prints all state with every page, or writes an image's parts into files.
 * @returns The exit status.
 */
export function analyzePages(image: string, given: AnalyzeArguments): number {
  using resources = new DisposableStack();
  const { analysis, ...memory } = walk(image, resources);
  if (given.extract !== undefined) {
    for (const name of extract(analysis, given.extract, memory.table, memory.reader)) print(name);
  } else {
    const writer = new JsonWriter(stdout);
    writeState(writer, analysis, memory);
    writer.end();
  }
  return reportFailure(analysis);
}

/**
 * Prints what differs between two images.
 * @returns The exit status: 1 if something does.
 */
export function compareImages(first: string, second: string, given: AnalyzeArguments): number {
  using resources = new DisposableStack();
  const [a, b] = [walk(first, resources), walk(second, resources)];
  const difference = compareStreams(a, b);
  if (given.json) printJson(difference);
  else printText(differenceText(difference, [first, second]));
  const status = (analysis: Analysis) => reportFailure(analysis);
  return Math.max(isSame(difference) ? 0 : 1, ...[a, b].map(({ analysis }) => status(analysis)));
}

function walk(image: string, resources: DisposableStack): Compared {
  const { source, start } = openImage(image, true, resources);
  const table = new PageTable();
  const analysis = analyzeStream(source, { start, keepState: true, sink: table });
  return { analysis, table, reader: new PageReader(source, table, analysis.pageSize) };
}
