/**
 * The command line of `analyze` as typed values.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { UsageError } from "../errors.ts";

/** What `analyze` is told. */
export interface AnalyzeArguments {
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

/** The image that is the standard input. */
export const STDIN = "-";

const TEXTS = ["dump", "extract"] as const;

/** @throws {UsageError} If something is not understood, missing or contradicts something. */
export function parseAnalyze(args: readonly string[]): AnalyzeArguments {
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
