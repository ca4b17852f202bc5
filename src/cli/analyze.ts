/**
 * `analyze`: what is in a stream, what differs between two, and whether two programs' descriptions fit
 * each other.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import type { Analysis } from "../analyze/analysis.ts";
import { analyzeStream } from "../analyze/analyze_stream.ts";
import { compareStreams } from "../analyze/compare_streams.ts";
import { isSame } from "../analyze/difference.ts";
import { differenceText } from "../analyze/difference_text.ts";
import { extract } from "../analyze/extract.ts";
import { type ByteSink, JsonWriter } from "../analyze/json_writer.ts";
import { PageReader, PageTable } from "../analyze/page_table.ts";
import { spool } from "../analyze/spool.ts";
import { writeState } from "../analyze/state_output.ts";
import { summarize, summaryText } from "../analyze/summary.ts";
import { StreamFormatError, UsageError } from "../errors.ts";
import { type ReadableBytes, SyncFile, SyncStdin } from "../transport/sync_file.ts";
import { parseUri } from "../transport/uri.ts";
import { compareDumps } from "../vmstate/compare.ts";
import { comparisonJson, comparisonText } from "../vmstate/comparison_text.ts";
import { parseDump, type VmstateDump } from "../vmstate/dump.ts";

/** What `analyze` is told. */
interface AnalyzeArguments {
  readonly images: readonly string[];
  /** `state` or `desc`: QEMU's script's output. */
  readonly dump: string | undefined;
  /** Whether every page is shown, too. */
  readonly memory: boolean;
  /** Where the stream's parts go. */
  readonly extract: string | undefined;
  /** Whether two programs' descriptions are compared. */
  readonly check: boolean;
  /** Whether only what breaks from the first to the second counts. */
  readonly forward: boolean;
  readonly strict: boolean;
  readonly json: boolean;
}

const STDIN = "-";
const TEXTS = ["dump", "extract"] as const;

/**
 * Runs the command.
 * @param args What follows its name.
 * @returns 0; 1 if the stream could not be read to its end, the two streams differ, or something breaks.
 * @throws {UsageError} If the arguments are not understood.
 * @throws {TransportError} If a file cannot be read or written.
 */
export function analyze(args: readonly string[]): Promise<number> {
  return Promise.try(() => {
    const given = parse(args);
    try {
      return run(given);
    } catch (error) {
      // Who has read enough of it closes the pipe.
      if (error instanceof Deno.errors.BrokenPipe) return 1;
      throw error;
    }
  });
}

function run(given: AnalyzeArguments): number {
  if (given.check) return check(given);
  const [first, second] = given.images;
  return second === undefined ? analyzeOne(first!, given) : compare(first!, second, given);
}

function parse(args: readonly string[]): AnalyzeArguments {
  const { _: images, ...values } = parseArgs(args, {
    string: [...TEXTS, "_"],
    collect: TEXTS,
    boolean: ["memory", "check", "forward", "strict", "json"],
    alias: { dump: "d", memory: "m", extract: "x" },
    unknown: (arg: string, key?: string) => {
      if (key === undefined) return true;
      throw new UsageError(`Option ${arg} is not known here`, {
        advice: "See: deno task migrate --help",
      });
    },
  });
  const text = (name: (typeof TEXTS)[number]) => {
    const [value, more] = values[name] ?? [];
    if (more !== undefined) throw new UsageError(`--${name} is given twice`);
    if (value === "") throw new UsageError(`--${name} needs a value`);
    return value;
  };
  const { memory, check, forward, strict, json } = values;
  const given = {
    ...{ images: images.map(String), dump: text("dump"), extract: text("extract") },
    ...{ memory, check, forward, strict, json },
  };
  refuseContradictions(given);
  return given;
}

function refuseContradictions(given: AnalyzeArguments): void {
  const { images, dump, memory, check } = given;
  if (images.length < (check ? 2 : 1) || images.length > 2) {
    throw new UsageError(check ? "--check needs two files" : "One or two images are needed", {
      advice: check
        ? "Give what QEMU's -dump-vmstate wrote: the source's, then the destination's"
        : 'Give a file, or "-" for the standard input; two files are compared',
    });
  }
  if (dump !== undefined && dump !== "state" && dump !== "desc") {
    throw new UsageError(`There is nothing called "${dump}" to dump`, {
      advice: "Write state or desc",
    });
  }
  if (images.length === 2 && (dump !== undefined || memory || given.extract !== undefined)) {
    throw new UsageError("Two images are compared: -d, -m and -x are for one");
  }
  if (images.every((image) => image === STDIN) && images.length === 2) {
    throw new UsageError("The standard input is one image, not two");
  }
  if (memory && dump === "desc") throw new UsageError("-m shows pages, which -d desc does not");
  if (!check && (given.forward || given.strict)) {
    throw new UsageError("--forward and --strict belong to --check");
  }
}

/** Opens an image; what has to be looked at twice and comes once is put into a file first. */
function open(
  image: string,
  twice: boolean,
  resources: DisposableStack,
): { source: ReadableBytes; start: number } {
  if (image === STDIN) {
    const stdin = new SyncStdin();
    return { source: twice ? resources.use(spool(stdin)) : stdin, start: 0 };
  }
  if (!image.startsWith("file:")) return { source: resources.use(SyncFile.open(image)), start: 0 };
  const uri = parseUri(image);
  if (uri.kind !== "file") throw new UsageError(`${image} is no file`);
  return { source: resources.use(SyncFile.open(uri.path)), start: uri.offset };
}

function analyzeOne(image: string, given: AnalyzeArguments): number {
  using resources = new DisposableStack();
  const { dump, memory } = given;
  const withPages = memory || given.extract !== undefined;
  const { source, start } = open(image, withPages, resources);
  const table = withPages ? new PageTable() : undefined;
  const analysis = analyzeStream(source, {
    start,
    keepState: dump === "state" || withPages,
    descriptionOnly: dump === "desc" && !withPages,
    ...(table ? { sink: table } : {}),
  });
  const pages = table && { table, reader: new PageReader(source, table, analysis.pageSize) };
  if (pages && given.extract !== undefined) {
    for (const name of extract(analysis, given.extract, pages.table, pages.reader)) print(name);
  } else if (dump === "desc") {
    if (!analysis.description && !analysis.failure) {
      throw new StreamFormatError(`${source.name} has no description`, {
        advice: "Streams that went over to postcopy have none",
      });
    }
    if (analysis.description) printJson(analysis.description.json);
  } else if (dump === "state" || memory) {
    const writer = new JsonWriter(stdout);
    writeState(writer, analysis, memory ? pages : undefined);
    writer.end();
  } else if (given.json) printJson(summarize(analysis));
  else if (analysis.configuration || analysis.elements.length > 0) {
    stdout(new TextEncoder().encode(summaryText(analysis)));
  }
  return failed(analysis);
}

function compare(first: string, second: string, given: AnalyzeArguments): number {
  using resources = new DisposableStack();
  const sides = [first, second].map((image) => {
    const { source, start } = open(image, true, resources);
    const table = new PageTable();
    const analysis = analyzeStream(source, { start, keepState: true, sink: table });
    return { analysis, table, reader: new PageReader(source, table, analysis.pageSize) };
  });
  const [a, b] = sides as [typeof sides[0], typeof sides[0]];
  const difference = compareStreams(a, b);
  if (given.json) printJson(difference);
  else stdout(new TextEncoder().encode(differenceText(difference, [first, second])));
  const failures = sides.map(({ analysis }) => failed(analysis));
  return isSame(difference) ? Math.max(...failures) : 1;
}

function check(given: AnalyzeArguments): number {
  const [first, second] = given.images as [string, string];
  const { strict } = given;
  const comparison = compareDumps(readDump(first), readDump(second), { strict });
  const text = given.json
    ? comparisonJson(comparison) + "\n"
    : comparisonText(comparison, { first, second });
  stdout(new TextEncoder().encode(text));
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

/** Says why a stream was not read to its end. */
function failed({ name, failure }: Analysis): number {
  if (!failure) return 0;
  complain(`ferry: ${name}: ${failure.message}`);
  if (failure.advice !== undefined) complain(`       ${failure.advice}`);
  return 1;
}

function printJson(value: unknown): void {
  const writer = new JsonWriter(stdout);
  writer.json(value);
  writer.end();
}

function print(line: string): void {
  stdout(new TextEncoder().encode(`${line}\n`));
}

const stdout: ByteSink = (bytes) => writeAll(Deno.stdout, bytes);

function complain(line: string): void {
  writeAll(Deno.stderr, new TextEncoder().encode(`${line}\n`));
}

function writeAll(to: typeof Deno.stdout | typeof Deno.stderr, bytes: Uint8Array): void {
  for (let left = bytes; left.length > 0;) left = left.subarray(to.writeSync(left));
}
