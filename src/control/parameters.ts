/**
 * QEMU's migration parameters: the same names, types, units and ranges (wire-format §11.2; QEMU
 * `migration/options.c`, `migrate_params_check`).
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import { PAGE_SIZE } from "../machine/page.ts";

/** The compression methods of multifd that QEMU knows. */
export const MULTIFD_COMPRESSIONS = ["none", "zlib", "zstd", "qatzip", "qpl", "uadk"] as const;
/** What a bitmap of a block device is called in the stream (QMP `BitmapMigrationNodeAlias`). */
export interface BitmapMapping {
  /** The block device here. */
  readonly "node-name": string;
  /** What it is called in the stream. */
  readonly alias: string;
  /** Its bitmaps that travel, and what they are called. */
  readonly bitmaps: readonly {
    readonly name: string;
    readonly alias: string;
    readonly transform?: { readonly persistent?: boolean };
  }[];
}

/** Every parameter with its value, in QMP's order. */
export interface Parameters {
  /** Milliseconds before the second announcement. */
  readonly "announce-initial": number;
  /** The longest pause between announcements, in milliseconds. */
  readonly "announce-max": number;
  /** How many announcements follow the first. */
  readonly "announce-rounds": number;
  /** By how many milliseconds the pause grows. */
  readonly "announce-step": number;
  /** Percent of the transferred bytes that may be dirtied before the guest is throttled. */
  readonly "throttle-trigger-threshold": number;
  /** Percent. */
  readonly "cpu-throttle-initial": number;
  /** Percent. */
  readonly "cpu-throttle-increment": number;
  /** Whether the throttle grows more slowly towards its end. */
  readonly "cpu-throttle-tailslow": boolean;
  /** The folder with the credentials; empty: no TLS. */
  readonly "tls-creds": string;
  /** The name in the destination's certificate, where it is not the host of the URI. */
  readonly "tls-hostname": string;
  /** Whom a destination lets in, by the names in their certificates. */
  readonly "tls-authz": string;
  /** Bytes a second, 0 without limit. QEMU's default is 128 MiB/s; ours is 0. */
  readonly "max-bandwidth": number;
  /** Bytes a second that the switchover may count on, 0: what was measured. */
  readonly "avail-switchover-bandwidth": number;
  /** Milliseconds. */
  readonly "downtime-limit": number;
  /** Milliseconds. */
  readonly "x-checkpoint-delay": number;
  /** How many connections carry pages. */
  readonly "multifd-channels": number;
  /** How pages are compressed on those. */
  readonly "multifd-compression": typeof MULTIFD_COMPRESSIONS[number];
  /** From 0, none, to 9, best. */
  readonly "multifd-zlib-level": number;
  /** From 1 to 9. */
  readonly "multifd-qatzip-level": number;
  /** From 0, the default, to 20, best. */
  readonly "multifd-zstd-level": number;
  /** Bytes, a power of two. */
  readonly "xbzrle-cache-size": number;
  /** Bytes a second for pages nobody asked for, 0 without limit. */
  readonly "max-postcopy-bandwidth": number;
  /** Percent. */
  readonly "max-cpu-throttle": number;
  /** What block devices and their bitmaps are called in the stream. */
  readonly "block-bitmap-mapping"?: readonly BitmapMapping[];
  /** Milliseconds. */
  readonly "x-vcpu-dirty-limit-period": number;
  /** MB a second. */
  readonly "vcpu-dirty-limit": number;
  /** Whether the machine goes to another process or outlives its own. */
  readonly mode: "normal" | "cpr-reboot" | "cpr-transfer";
  /** Who looks for pages of zeros: nobody, the main channel, or the channels of multifd. */
  readonly "zero-page-detection": "none" | "legacy" | "multifd";
  /** Whether files are written around the page cache. */
  readonly "direct-io": boolean;
}
/** A parameter's name, spelled as QMP spells it. */
export type ParameterName = keyof Parameters;
/** Some parameters. */
export type ParameterChanges = { -readonly [Name in ParameterName]?: Parameters[Name] };

/** What a parameter accepts. `refused` lists values that QEMU knows and that have no effect here. */
type Rule =
  | { kind: "number"; min: number; max: number; unit?: "bytes" | "ms" | "%"; expects: string }
  | { kind: "boolean" }
  | { kind: "string" }
  | { kind: "choice"; values: readonly string[]; refused?: Readonly<Record<string, string>> }
  | { kind: "list" };

/** The greatest number that 64 bits hold. */
export const UINT64_NEAR_MAX = 2 ** 64 - 2 ** 11;

const SIZE: Rule = {
  kind: "number",
  min: 0,
  max: UINT64_NEAR_MAX,
  unit: "bytes",
  expects: "a size in bytes, such as 100M",
};
const range = (min: number, max: number, unit?: "ms" | "%"): Rule => ({
  kind: "number",
  min,
  max,
  ...unit && { unit },
  expects: `an integer in the range of ${min} to ${max}${unit ? ` ${unit}` : ""}`,
});

const RULES: Readonly<Record<ParameterName, Rule>> = {
  "announce-initial": range(0, 100000, "ms"),
  "announce-max": range(0, 100000, "ms"),
  "announce-rounds": range(0, 1000),
  "announce-step": range(1, 10000, "ms"),
  "throttle-trigger-threshold": range(1, 100, "%"),
  "cpu-throttle-initial": range(1, 99, "%"),
  "cpu-throttle-increment": range(1, 99, "%"),
  "cpu-throttle-tailslow": { kind: "boolean" },
  "tls-creds": { kind: "string" },
  "tls-hostname": { kind: "string" },
  "tls-authz": { kind: "string" },
  "max-bandwidth": SIZE,
  "avail-switchover-bandwidth": SIZE,
  "downtime-limit": range(0, 2000000, "ms"),
  "x-checkpoint-delay": range(0, 0xffffffff, "ms"),
  "multifd-channels": range(1, 255),
  "multifd-compression": {
    kind: "choice",
    values: MULTIFD_COMPRESSIONS,
    refused: {
      qatzip: "it needs Intel QuickAssist hardware and its library",
      qpl: "it needs Intel's In-Memory Analytics Accelerator and its library",
      uadk: "it needs a Kunpeng accelerator and its library",
    },
  },
  "multifd-zlib-level": range(0, 9),
  "multifd-qatzip-level": range(1, 9),
  "multifd-zstd-level": range(0, 20),
  "xbzrle-cache-size": {
    kind: "number",
    min: PAGE_SIZE,
    max: 2 ** 40,
    unit: "bytes",
    expects: "a power of two no less than the target page size",
  },
  "max-postcopy-bandwidth": SIZE,
  "max-cpu-throttle": range(1, 99, "%"),
  "block-bitmap-mapping": { kind: "list" },
  "x-vcpu-dirty-limit-period": range(1, 1000, "ms"),
  "vcpu-dirty-limit": {
    kind: "number",
    min: 1,
    max: UINT64_NEAR_MAX,
    expects: "at least 1 MB/s",
  },
  mode: {
    kind: "choice",
    values: ["normal", "cpr-reboot", "cpr-transfer"],
    refused: {
      "cpr-reboot": "it keeps RAM in the host's persistent memory, which these machines have not",
      "cpr-transfer": "it passes RAM as file descriptors, which Deno does not offer",
    },
  },
  "zero-page-detection": { kind: "choice", values: ["none", "legacy", "multifd"] },
  "direct-io": { kind: "boolean" },
};

const DEFAULTS: Parameters = {
  "announce-initial": 50,
  "announce-max": 550,
  "announce-rounds": 5,
  "announce-step": 100,
  "throttle-trigger-threshold": 50,
  "cpu-throttle-initial": 20,
  "cpu-throttle-increment": 10,
  "cpu-throttle-tailslow": false,
  "tls-creds": "",
  "tls-hostname": "",
  "tls-authz": "",
  "max-bandwidth": 0,
  "avail-switchover-bandwidth": 0,
  "downtime-limit": 300,
  "x-checkpoint-delay": 20000,
  "multifd-channels": 2,
  "multifd-compression": "none",
  "multifd-zlib-level": 1,
  "multifd-qatzip-level": 1,
  "multifd-zstd-level": 1,
  "xbzrle-cache-size": 64 * 1024 ** 2,
  "max-postcopy-bandwidth": 0,
  "max-cpu-throttle": 99,
  "x-vcpu-dirty-limit-period": 1000,
  "vcpu-dirty-limit": 1,
  mode: "normal",
  "zero-page-detection": "multifd",
  "direct-io": false,
};

/** The parameters before anybody has set one. */
export function defaultParameters(): Parameters {
  return { ...DEFAULTS };
}

/** Whether there is a parameter of that name. */
export function isParameterName(name: string): name is ParameterName {
  return Object.hasOwn(RULES, name);
}

/** The words that a parameter can be, if it is one of some; those that are refused here are among them. */
export function parameterWords(name: ParameterName): readonly string[] | undefined {
  const rule = RULES[name];
  return rule.kind === "choice" ? rule.values : undefined;
}

/**
 * Changes some parameters: all of them or, if one is not allowed, none.
 * @param current The parameters now.
 * @param changes Names and values of QMP's types; `null` for a string means the empty one.
 * @returns The parameters after the change.
 * @throws {SettingError} If a name is unknown, a value is of another type, out of range or refused.
 */
export function changeParameters(
  current: Parameters,
  changes: Readonly<Record<string, unknown>>,
): Parameters {
  const next: Record<string, unknown> = { ...current };
  for (const [name, value] of Object.entries(changes)) {
    if (!isParameterName(name)) throw unknownParameter(name);
    next[name] = checkValue(name, RULES[name], value);
  }
  const result = next as unknown as Parameters;
  if (result["max-cpu-throttle"] < result["cpu-throttle-initial"]) {
    throw invalid("max-cpu-throttle", "an integer in the range of cpu-throttle-initial to 99");
  }
  return result;
}

/**
 * Reads a value as the command line spells it: `100M`, `on`, `zstd`.
 * @throws {SettingError} If the name is unknown or the text is no value of its type.
 */
export function parseParameter(name: string, text: string): ParameterChanges {
  if (!isParameterName(name)) throw unknownParameter(name);
  const rule = RULES[name];
  switch (rule.kind) {
    case "number":
      return { [name]: rule.unit === "bytes" ? parseSize(name, text) : parseNumber(name, text) };
    case "boolean": {
      if (text !== "on" && text !== "off" && text !== "true" && text !== "false") {
        throw invalid(name, "on or off", text);
      }
      return { [name]: text === "on" || text === "true" };
    }
    case "list":
      try {
        return { [name]: JSON.parse(text) };
      } catch (cause) {
        throw new SettingError(`Parameter '${name}' expects a JSON list`, { cause });
      }
    default:
      return { [name]: text };
  }
}

function checkValue(name: ParameterName, rule: Rule, value: unknown): unknown {
  switch (rule.kind) {
    case "number":
      if (
        typeof value !== "number" || !Number.isInteger(value) ||
        value < rule.min || value > rule.max ||
        (name === "xbzrle-cache-size" && 2 ** Math.round(Math.log2(value)) !== value)
      ) throw invalid(name, rule.expects, value);
      return value;
    case "boolean":
      if (typeof value !== "boolean") throw invalid(name, "a boolean", value);
      return value;
    case "string":
      if (value === null) return "";
      if (typeof value !== "string") throw invalid(name, "a string", value);
      return value;
    case "choice": {
      if (typeof value !== "string" || !rule.values.includes(value)) {
        throw invalid(name, `one of ${rule.values.join(", ")}`, value);
      }
      const refusal = rule.refused?.[value];
      if (refusal) {
        throw new SettingError(
          `Parameter '${name}' does not accept value '${value}', which is not built in: ${refusal}`,
        );
      }
      return value;
    }
    case "list":
      return checkBitmapMapping(name, value);
  }
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

function parseSize(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([bkmgt]?)$/i.exec(text);
  if (!match) throw invalid(name, "a size such as 100M", text);
  return Math.floor(Number(match[1]) * UNITS[match[2]!.toLowerCase()]!);
}

function parseNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw invalid(name, "an integer", text);
  return Number(text);
}

/** One-to-one in both directions, names within QEMU's lengths (wire-format §9). */
function checkBitmapMapping(name: string, value: unknown): readonly BitmapMapping[] {
  const refuse = (why: string): never => {
    throw new SettingError(`Invalid mapping given for ${name}: ${why}`);
  };
  const unique = (seen: Set<string>, text: unknown, what: string, max: number): void => {
    if (typeof text !== "string" || text === "") refuse(`${what} must be a string`);
    else if (new TextEncoder().encode(text).length > max) refuse(`${what} is longer than ${max}`);
    else if (seen.has(text)) refuse(`${what} '${text}' appears twice`);
    else seen.add(text);
  };
  if (!Array.isArray(value)) return refuse("it is not a list");
  const nodes = new Set<string>();
  const aliases = new Set<string>();
  for (const node of value as BitmapMapping[]) {
    unique(nodes, node?.["node-name"], "the node name", 31);
    unique(aliases, node.alias, "the node alias", 255);
    if (!Array.isArray(node.bitmaps)) refuse(`node '${node["node-name"]}' has no list of bitmaps`);
    const bitmaps = new Set<string>();
    const bitmapAliases = new Set<string>();
    for (const bitmap of node.bitmaps) {
      unique(bitmaps, bitmap?.name, "the bitmap name", 1023);
      unique(bitmapAliases, bitmap.alias, "the bitmap alias", 255);
    }
  }
  return value;
}

function unknownParameter(name: string): SettingError {
  return new SettingError(`Unknown parameter '${name}'`, {
    advice: `Parameters are: ${Object.keys(RULES).join(", ")}`,
  });
}

function invalid(name: string, expects: string, value?: unknown): SettingError {
  const got = value === undefined ? "" : `, not ${JSON.stringify(value)}`;
  return new SettingError(`Parameter '${name}' expects ${expects}${got}`);
}
