/**
 * Which guest runs on a vCPU, as a user writes it: `beat|stress|PATH[,key=value...]`.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { UsageError } from "../errors.ts";
import { parseSize } from "./size.ts";

/** The guest `beat` (`guests/beat.wat`). */
export interface BeatSpec {
  /** Its name. */
  readonly kind: "beat";
  /** How fast a vCPU writes to pages, in bytes of pages per second; `Infinity` is as fast as it can. */
  readonly rate: number;
}

/** The guest `stress` (`guests/stress.wat`). */
export interface StressSpec {
  /** Its name. */
  readonly kind: "stress";
  /** How fast a vCPU writes to pages, in bytes of pages per second; `Infinity` is as fast as it can. */
  readonly rate: number;
  /** How many of 100 pages are zeros. */
  readonly zero: number;
  /** How many of 100 pages are text. */
  readonly text: number;
  /** How many of 100 pages are random bytes. */
  readonly random: number;
  /** What all content is made from. */
  readonly seed: number;
  /** Write every page once, as fast as possible, before the rate applies. */
  readonly fill: boolean;
  /** In which order pages are written. */
  readonly order: "scattered" | "sequential";
  /** Whether a page that has content gets all new content or one new word. */
  readonly write: "page" | "word";
}

/** A guest of the user's: a WebAssembly reactor or a module. */
export interface ProgramSpec {
  /** Which of the two. */
  readonly kind: "wasm" | "module";
  /** Where its code is. */
  readonly url: string;
  /** Handed to the guest, in `GuestContext.options`. */
  readonly options: Readonly<Record<string, string>>;
}

/** Any guest. */
export type GuestSpec = BeatSpec | StressSpec | ProgramSpec;

/** What a guest that writes at a rate writes if nobody says more, in bytes per second. */
const RATE = 128 * 1024 ** 2;
const MIX = { zero: 30, text: 40, random: 30 };
const FORM =
  "Write beat, stress or the path of a .wasm, .ts or .js file, then ,key=value as needed";

/**
 * Reads a guest's SPEC.
 * @param text `beat`, `stress`, or the path or `file:` URL of the guest's code, then options.
 * @throws {UsageError} If it is not understood; what is at the path is not looked at.
 */
export function parseGuestSpec(text: string): GuestSpec {
  const [name = "", ...rest] = text.split(",");
  const options = parseOptions(name, rest);
  if (name === "beat") return beatSpec(options);
  if (name === "stress") return stressSpec(options);
  if (!/\.(wasm|m?[jt]s)$/.test(name)) {
    throw new UsageError(`Guest "${name}" is not known`, { advice: FORM });
  }
  const url = name.startsWith("file:") ? new URL(name) : pathToFileURL(name);
  return { ...guestAt(url), options: Object.fromEntries(options) };
}

/** The guest whose code is at a URL. */
export function guestAt(url: URL): ProgramSpec {
  return { kind: url.pathname.endsWith(".wasm") ? "wasm" : "module", url: url.href, options: {} };
}

/** How messages call a guest: its name, or its path without the folders. */
export function guestName(spec: GuestSpec): string {
  if (!("url" in spec)) return spec.kind;
  const { protocol, pathname } = new URL(spec.url);
  return protocol === "data:" ? "data:" : decodeURIComponent(pathname.split("/").at(-1)!);
}

type Options = Map<string, string>;

function parseOptions(guest: string, texts: string[]): Options {
  const options: Options = new Map();
  for (const text of texts) {
    const [key, ...value] = text.split("=");
    if (!key || value.length === 0) {
      throw new UsageError(`Option "${text}" of guest ${guest} is not key=value`, { advice: FORM });
    }
    if (options.has(key)) throw new UsageError(`Option ${key} of guest ${guest} is given twice`);
    options.set(key, value.join("="));
  }
  return options;
}

function beatSpec(options: Options): BeatSpec {
  refuseUnknown("beat", options, ["rate"]);
  return { kind: "beat", rate: rateOf(options) };
}

function stressSpec(options: Options): StressSpec {
  const known = ["rate", "zero", "text", "random", "seed", "fill", "order", "write"];
  refuseUnknown("stress", options, known);
  return {
    kind: "stress",
    rate: rateOf(options),
    ...mixOf(options),
    seed: wholeNumber(options, "seed", 1, Number.MAX_SAFE_INTEGER),
    fill: choice(options, "fill", ["on", "off"]) === "on",
    order: choice(options, "order", ["scattered", "sequential"]),
    write: choice(options, "write", ["page", "word"]),
  };
}

function refuseUnknown(guest: string, options: Options, known: string[]): void {
  for (const key of options.keys()) {
    if (known.includes(key)) continue;
    throw new UsageError(`Guest ${guest} has no option ${key}`, {
      advice: `Its options are ${known.join(", ")}`,
    });
  }
}

function rateOf(options: Options): number {
  const text = options.get("rate");
  if (text === undefined) return RATE;
  if (text === "max") return Infinity;
  const rate = parseSize(text, "Rate");
  if (rate === 0) {
    throw new UsageError("Rate 0 is no rate", {
      advice: "Leave the machine paused, or write rate=1",
    });
  }
  return rate;
}

function mixOf(options: Options): typeof MIX {
  const keys = ["zero", "text", "random"] as const;
  if (!keys.some((key) => options.has(key))) return MIX;
  const mix = { zero: 0, text: 0, random: 0 };
  for (const key of keys) mix[key] = wholeNumber(options, key, 0, 100);
  const sum = mix.zero + mix.text + mix.random;
  if (sum !== 100) {
    throw new UsageError(
      `zero=${mix.zero}, text=${mix.text}, random=${mix.random} are ${sum} of 100 pages`,
      { advice: "Give shares that add up to 100; one that is not given is 0" },
    );
  }
  return mix;
}

function wholeNumber(options: Options, key: string, otherwise: number, max: number): number {
  const text = options.get(key);
  if (text === undefined) return otherwise;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value <= max)) throw new UsageError(`${key}=${text} is not a whole number up to ${max}`);
  return value;
}

/** One of several words; the first is the default. */
function choice<const Word extends string>(
  options: Options,
  key: string,
  words: readonly [Word, ...Word[]],
): Word {
  const text = options.get(key);
  if (text === undefined) return words[0];
  const word = words.find((each) => each === text);
  if (!word) throw new UsageError(`${key}=${text} is none of ${words.join(", ")}`);
  return word;
}
