/**
 * What the parts of `analyze` read from and write to.
 *
 * @module
 */
import type { Analysis } from "../analyze/analysis.ts";
import { type ByteSink, JsonWriter } from "../analyze/json_writer.ts";
import { spool } from "../analyze/spool.ts";
import { TransportError, UsageError } from "../errors.ts";
import { reasonOf } from "../transport/os_error.ts";
import { type ReadableBytes, SyncFile } from "../transport/sync_file.ts";
import { parseUri } from "../transport/uri.ts";
import { STDIN } from "./analyze_arguments.ts";

/** Read once, in order. */
const standardInput: ReadableBytes = {
  name: "the standard input",
  size: undefined,
  read(into) {
    try {
      return Deno.stdin.readSync(into) ?? 0;
    } catch (cause) {
      throw new TransportError(`Cannot read ${this.name}: ${reasonOf(cause)}`, { cause });
    }
  },
};

/**
 * Opens an image.
 * @param image A path, `file:PATH,offset=N` or `-`.
 * @param twice Whether it is looked at twice: what comes once is put into a file first.
 * @param resources Closes it.
 * @returns It, and where in it the stream begins.
 * @throws {TransportError} If it cannot be read.
 */
export function openImage(
  image: string,
  twice: boolean,
  resources: DisposableStack,
): { source: ReadableBytes; start: number } {
  if (image === STDIN) {
    return { source: twice ? resources.use(spool(standardInput)) : standardInput, start: 0 };
  }
  if (!image.startsWith("file:")) return { source: resources.use(SyncFile.open(image)), start: 0 };
  const uri = parseUri(image);
  if (uri.kind !== "file") throw new UsageError(`${image} is no file`);
  return { source: resources.use(SyncFile.open(uri.path)), start: uri.offset };
}

/**
 * Says why a stream was not read to its end, if it was not.
 * @returns The exit status.
 */
export function reportFailure({ name, failure }: Analysis): number {
  if (!failure) return 0;
  complain(`ferry: ${name}: ${failure.message}`);
  if (failure.advice !== undefined) complain(`       ${failure.advice}`);
  return 1;
}

/** Prints a value as JSON. */
export function printJson(value: unknown): void {
  const writer = new JsonWriter(stdout);
  writer.json(value);
  writer.end();
}

/** Prints a line. */
export function print(line: string): void {
  printText(`${line}\n`);
}

/** Prints a text that has its line ends. */
export function printText(text: string): void {
  stdout(new TextEncoder().encode(text));
}

/** Takes what is printed in pieces. */
export const stdout: ByteSink = (bytes) => writeAll(Deno.stdout, bytes);

function complain(line: string): void {
  writeAll(Deno.stderr, new TextEncoder().encode(`${line}\n`));
}

function writeAll(to: typeof Deno.stdout | typeof Deno.stderr, bytes: Uint8Array): void {
  for (let left = bytes; left.length > 0;) left = left.subarray(to.writeSync(left));
}
