/**
 * Walks over a whole stream (wire-format §1.2, §1.5, §8.3): finds its description first where it can,
 * takes its sections apart by it, and ends with what was understood, whatever happens.
 *
 * @module
 */
import { asMigrationError, IncompatibleError, StreamFormatError } from "../errors.ts";
import type { ReadableBytes } from "../transport/sync_file.ts";
import { ElementType } from "../wire/section.ts";
import { STREAM_MAGIC, STREAM_VERSION } from "../wire/stream_header.ts";
import { VM_DESCRIPTION_MAX } from "../wire/vm_description.ts";
import { Analysis } from "./analysis.ts";
import { readConfiguration } from "./configuration.ts";
import { decodeState } from "./decode_state.ts";
import { type Description, deviceKey, findDescription, parseDescription } from "./description.ts";
import { ElementWalk } from "./element_walk.ts";
import { StreamInput } from "./input.ts";
import type { PageSink } from "./ram_walk.ts";

/** What is wanted of a stream. */
export interface AnalyzeOptions {
  /** Where the stream begins in the source, in bytes. @default {0} */
  readonly start?: number;
  /** Whether payloads that nobody describes are kept. @default {false} */
  readonly keepState?: boolean;
  /** Is told of every page record. */
  readonly sink?: PageSink;
  /** Whether only the description is wanted. @default {false} */
  readonly descriptionOnly?: boolean;
}

/** The magic of a multifd channel. */
const MULTIFD_MAGIC = 0x11223344;

/**
 * Walks over a stream.
 * @param source Where it is.
 * @param options What is wanted of it.
 * @returns What was understood; `failure` says why it is not more.
 */
export function analyzeStream(source: ReadableBytes, options: AnalyzeOptions = {}): Analysis {
  const analysis = new Analysis(source.name);
  const input = new StreamInput(source, options.start);
  let found: Description | undefined;
  try {
    found = findDescription(source);
  } catch (error) {
    analysis.failure = asMigrationError(error);
  }
  analysis.description = found;
  if (options.descriptionOnly && found && !analysis.failure) return analysis;
  try {
    readHeader(input);
    walk(input, analysis, options);
    // A frame that is no description, behind the end: what counts is what stands at the end.
    analysis.failure = undefined;
    readEnd(input, analysis, found);
  } catch (error) {
    analysis.failure ??= asMigrationError(error);
  }
  analysis.size = input.position - (options.start ?? 0);
  return analysis;
}

function readHeader(input: StreamInput): void {
  const offset = input.position;
  const magic = input.be32("the stream's magic");
  if (magic === MULTIFD_MAGIC) {
    throw new StreamFormatError("This is a multifd channel, not the main channel", {
      place: { offset },
      advice: "Give the main channel, from its first byte on",
    });
  }
  if (magic !== STREAM_MAGIC) {
    throw new StreamFormatError(
      `Not a migration stream: it begins with 0x${magic.toString(16).padStart(8, "0")}, not "QEVM"`,
      { place: { offset }, advice: "Give the main channel, from its first byte on" },
    );
  }
  const version = input.be32("the stream's version");
  if (version !== STREAM_VERSION) {
    throw new IncompatibleError(`Stream version ${version}: only ${STREAM_VERSION} can be read`, {
      place: { offset: offset + 4 },
    });
  }
}

function walk(input: StreamInput, analysis: Analysis, options: AnalyzeOptions): void {
  const { description } = analysis;
  if (input.peek() === ElementType.CONFIGURATION) {
    input.at++;
    analysis.configuration = readConfiguration(input, description?.configuration);
  } else analysis.oddities.push("There is no configuration section.");
  const bits = analysis.configuration?.targetPageBits;
  analysis.pageSize = description?.pageSize ?? (bits === undefined ? 4096 : 2 ** bits);
  new ElementWalk(analysis, options).elements(input);
}

/** Reads what follows the end mark. */
function readEnd(input: StreamInput, analysis: Analysis, found: Description | undefined): void {
  analysis.ended = true;
  if (input.peek() === ElementType.VMDESCRIPTION) {
    input.at++;
    const length = input.be32("the description's length");
    const offset = input.position;
    if (found && found.offset === offset) input.skip(length, "the description");
    else {
      const text = input.take(length, VM_DESCRIPTION_MAX, "the description");
      analysis.description = parseDescription(text, offset);
      describe(analysis);
      if (found) {
        throw new StreamFormatError(
          `The stream was read by another description at 0x${found.offset.toString(16)}`,
          { place: { offset } },
        );
      }
    }
  } else {
    analysis.description = undefined;
    if (found) analysis.oddities.push("A description follows that is not at the stream's end.");
  }
  const { description } = analysis;
  if (description) {
    for (const name of description.repeated) {
      analysis.oddities.push(`The description lists ${name} more than once.`);
    }
    const devices = [...analysis.sections.values()];
    const sent = new Set(devices.map((each) => deviceKey(each.idstr, each.instanceId)));
    for (const name of description.devices.keys()) {
      if (!sent.has(name)) analysis.oddities.push(`${name} is described and was not sent.`);
    }
  }
  const offset = input.position;
  const { size } = input.source;
  if (size !== undefined) input.skip(Math.max(0, size - offset), "what follows");
  else while (input.has(1)) input.at = input.end;
  if (input.position > offset) analysis.trailing = { offset, size: input.position - offset };
}

/** Takes kept payloads apart by a description that came after them. */
function describe(analysis: Analysis): void {
  for (const section of analysis.sections.values()) {
    const { raw } = section;
    const key = deviceKey(section.idstr, section.instanceId);
    const described = analysis.description?.devices.get(key);
    if (!raw || !described) continue;
    try {
      section.state = new Map();
      const input = StreamInput.of(raw.bytes, raw.offset);
      decodeState(input, described, section.state);
      if (input.has(1)) {
        throw new StreamFormatError(
          `${raw.bytes.length} bytes came and ${input.at} are described`,
          { place: { offset: input.position } },
        );
      }
      section.raw = undefined;
    } catch (error) {
      throw asMigrationError(error).at({ section: key, offset: raw.offset });
    }
  }
}
