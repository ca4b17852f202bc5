/**
 * `analyze`: what is in a stream, what differs between two, and whether two programs' descriptions fit
 * each other. What looks at pages is loaded only when it is wanted: most of the time of a short run is
 * loading.
 *
 * @module
 */
import { analyzeStream } from "../analyze/analyze_stream.ts";
import { JsonWriter } from "../analyze/json_writer.ts";
import { writeState } from "../analyze/state_output.ts";
import { summarize, summaryText } from "../analyze/summary.ts";
import { StreamFormatError } from "../errors.ts";
import { type AnalyzeArguments, parseAnalyze } from "./analyze_arguments.ts";
import { openImage, printJson, printText, reportFailure, stdout } from "./analyze_io.ts";

/**
 * Runs the command.
 * @param args What follows its name.
 * @returns 0; 1 if the stream could not be read to its end, the two streams differ, or something breaks.
 * @throws {UsageError} If the arguments are not understood.
 * @throws {TransportError} If a file cannot be read or written.
 */
export async function analyze(args: readonly string[]): Promise<number> {
  const given = parseAnalyze(args);
  const [first, second] = given.images;
  try {
    if (given.check) return (await import("./analyze_check.ts")).checkPrograms(given);
    if (second === undefined && !given.memory && given.extract === undefined) {
      return analyzeImage(first!, given);
    }
    const { analyzePages, compareImages } = await import("./analyze_pages.ts");
    return second === undefined
      ? analyzePages(first!, given)
      : compareImages(first!, second, given);
  } catch (error) {
    // Who has read enough of it closes the pipe.
    if (error instanceof Deno.errors.BrokenPipe) return 1;
    throw error;
  }
}

function analyzeImage(image: string, { dump, json }: AnalyzeArguments): number {
  using resources = new DisposableStack();
  const { source, start } = openImage(image, false, resources);
  const analysis = analyzeStream(source, {
    ...{ start, keepState: dump === "state", descriptionOnly: dump === "desc" },
  });
  if (dump === "desc") {
    if (analysis.description) printJson(analysis.description.json);
    else if (!analysis.failure) {
      throw new StreamFormatError(`${source.name} has no description`, {
        advice: "Streams that went over to postcopy have none",
      });
    }
  } else if (dump === "state") {
    const writer = new JsonWriter(stdout);
    writeState(writer, analysis);
    writer.end();
  } else if (json) printJson(summarize(analysis));
  else if (analysis.configuration || analysis.elements.length > 0) {
    printText(summaryText(analysis));
  }
  return reportFailure(analysis);
}
