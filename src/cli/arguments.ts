/**
 * The command line as typed values. What is not understood is a {@linkcode UsageError} that says what
 * would be (DESIGN: exit status 2).
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { parseParameter } from "../control/parameters.ts";
import type { ParameterChanges } from "../control/parameters.ts";
import type { HostPages } from "../control/host_pages.ts";
import type { CapabilityChanges } from "../control/migration_control_options.ts";
import type { DirtyLogKind } from "../dirty/dirty_log.ts";
import { UsageError } from "../errors.ts";
import { IMAGE_FORMATS, type ImageFormat } from "../image/image_format.ts";
import { parseSize } from "../machine/size.ts";
import { parseUri } from "../transport/uri.ts";
import { parseDuration } from "./duration.ts";

/** What every command that migrates is told. */
export interface MigrationArguments {
  readonly capabilities: CapabilityChanges;
  readonly parameters: ParameterChanges;
  /** Milliseconds after which postcopy starts; without it, it does not by itself. */
  readonly postcopyAfter: number | undefined;
  /** Where the sides of a postcopy meet again after a loss; where they met before, if it is not said. */
  readonly recover: string | undefined;
  /** Where QMP clients connect. */
  readonly qmp: string | undefined;
  /** Whether stdout is JSON lines. */
  readonly json: boolean;
  /** Whether there is no progress and no table. */
  readonly quiet: boolean;
  /** Whether only public interfaces of Deno are used. */
  readonly publicApi: boolean;
}

/** What a machine that is made here is told. */
export interface MachineArguments {
  /** In bytes. */
  readonly ram: number | undefined;
  /** Bytes a second. */
  readonly dirtyRate: number | undefined;
  readonly seed: number | undefined;
  readonly dirtyLog: DirtyLogKind | undefined;
}

/** The arguments of `demo`. */
export interface DemoArguments extends MigrationArguments, MachineArguments {}

/** The arguments of `send`. */
export interface SendArguments extends MigrationArguments, MachineArguments {
  readonly uri: string | undefined;
  /** What the vCPUs run; empty if an image is sent. */
  readonly guests: readonly string[];
  readonly from: string | undefined;
  /** The destination's page sizes, in bytes, by the RAM blocks that have others than its host. */
  readonly hostPages: HostPages;
  /** Whether an earlier `send` of the same image has begun, and the destination waits for the rest. */
  readonly resume: boolean;
}

/** The arguments of `receive`. */
export interface ReceiveArguments extends MigrationArguments, MachineArguments {
  readonly uri: string | undefined;
  readonly guests: readonly string[];
  readonly save: string | undefined;
  /** What the image is written as. */
  readonly format: ImageFormat;
  readonly discard: boolean;
  /** How long a guest runs here before the program ends, in milliseconds; otherwise until a signal. */
  readonly run: number | undefined;
}

const MIGRATION_TEXTS = ["capability", "parameter", "postcopy-after", "qmp"] as const;
const RECOVER = "recover";
const MACHINE_TEXTS = ["ram", "dirty-rate", "seed", "dirty-log"] as const;
const DIRTY_LOGS: readonly DirtyLogKind[] = ["kernel", "barrier", "hash"];

/** @throws {UsageError} If something is not understood. */
export function parseDemo(args: readonly string[]): DemoArguments {
  const given = parse(args, [...MIGRATION_TEXTS, ...MACHINE_TEXTS], []);
  refusePositional(given.positional);
  return { ...migrationArguments(given, true), ...machineArguments(given) };
}

/** @throws {UsageError} If something is not understood or missing. */
export function parseSend(args: readonly string[]): SendArguments {
  const texts = [...MIGRATION_TEXTS, ...MACHINE_TEXTS, RECOVER, "guest", "from", "host-page"];
  const given = parse(args, texts, ["resume"]);
  const migration = migrationArguments(given);
  const uri = uriOf(given.positional, migration);
  const guests = given.texts("guest");
  const from = given.text("from");
  if ((guests.length > 0) === (from !== undefined)) {
    throw new UsageError("What is to be sent?", {
      advice: "Give either --guest SPEC (a machine that runs) or --from IMAGE (one that was saved)",
    });
  }
  const hostPages = Object.fromEntries(given.texts("host-page").map(parseHostPage));
  if (Object.keys(hostPages).length > 0 && from === undefined) {
    throw new UsageError("--host-page is for images", { advice: "Give --from IMAGE, too" });
  }
  const resume = given.flag("resume");
  if (resume) requireResumable(migration, uri, from);
  return { ...migration, ...machineArguments(given), uri, guests, from, hostPages, resume };
}

/** @throws {UsageError} If something is not understood or missing. */
export function parseReceive(args: readonly string[]): ReceiveArguments {
  const texts = [...MIGRATION_TEXTS, ...MACHINE_TEXTS, RECOVER, "guest", "save", "format", "run"];
  const given = parse(args, texts, ["discard"]);
  const migration = migrationArguments(given);
  const uri = uriOf(given.positional, migration);
  const guests = given.texts("guest");
  const save = given.text("save");
  const discard = given.flag("discard");
  if (Number(guests.length > 0) + Number(save !== undefined) + Number(discard) !== 1) {
    throw new UsageError("Where is the machine to go?", {
      advice: "Give one of --guest SPEC (it runs here), --save IMAGE (it is kept), " +
        "--discard (it is measured and thrown away)",
    });
  }
  const format = formatOf(given.text("format"), save);
  const run = given.text("run");
  return {
    ...migration,
    ...machineArguments(given),
    ...{ uri, guests, save, format, discard },
    run: run === undefined ? undefined : parseDuration(run, "--run"),
  };
}

/** @throws {UsageError} If no earlier program can have left a migration like this. */
function requireResumable(
  { capabilities }: MigrationArguments,
  uri: string | undefined,
  from: string | undefined,
): void {
  if (from === undefined) {
    throw new UsageError("--resume is for images: the RAM of a guest has ended with its program", {
      advice: "Give --from IMAGE, the one that the earlier program has sent",
    });
  }
  if (uri === undefined || !capabilities["postcopy-ram"]) {
    throw new UsageError("--resume needs a URI, and the capability postcopy-ram", {
      advice: "Give the earlier program's command line, and add --resume",
    });
  }
}

function formatOf(format: string | undefined, save: string | undefined): ImageFormat {
  if (format === undefined) return "stream";
  if (save === undefined) throw new UsageError("--format is for the image that --save writes");
  const known = IMAGE_FORMATS.find((each) => each === format);
  if (known) return known;
  throw new UsageError(`There is no format "${format}" for images`, {
    advice: `Write ${IMAGE_FORMATS.join(" or ")}`,
  });
}

/** What was given, before it has types. */
class Given {
  constructor(
    readonly positional: readonly string[],
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  /** All values of an option that can be repeated. */
  texts(name: string): string[] {
    return (this.values[name] as string[] | undefined) ?? [];
  }

  /** @throws {UsageError} If it is given more than once. */
  text(name: string): string | undefined {
    const [value, second] = this.texts(name);
    if (second !== undefined) throw new UsageError(`--${name} is given twice`);
    if (value === "") throw new UsageError(`--${name} needs a value`);
    return value;
  }

  flag(name: string): boolean {
    return this.values[name] === true;
  }
}

function parse(args: readonly string[], texts: readonly string[], flags: readonly string[]): Given {
  const { _: positional, ...values } = parseArgs(args, {
    string: [...texts, "_"],
    collect: texts,
    boolean: [...flags, "json", "quiet", "public-api"],
    alias: { capability: "c", parameter: "p" },
    unknown: (arg: string, key?: string) => {
      if (key === undefined) return true;
      throw new UsageError(`Option ${arg} is not known here`, {
        advice: "See: deno task migrate --help",
      });
    },
  });
  return new Given(positional.map(String), values);
}

/** @param hasBothSides Whether the destination is told the same: then an option may bring what it needs. */
function migrationArguments(given: Given, hasBothSides = false): MigrationArguments {
  const postcopyAfter = given.text("postcopy-after");
  const capabilities = Object.fromEntries(given.texts("capability").map(parseCapability));
  if (postcopyAfter !== undefined && hasBothSides) capabilities["postcopy-ram"] ??= true;
  if (postcopyAfter !== undefined && !capabilities["postcopy-ram"]) {
    throw new UsageError("--postcopy-after needs the capability postcopy-ram", {
      advice: "Add -c postcopy-ram, on both sides",
    });
  }
  const qmp = given.text("qmp");
  const recover = given.text(RECOVER);
  if (recover !== undefined) {
    parseUri(recover);
    if (qmp !== undefined) {
      throw new UsageError("--recover is for programs without --qmp", {
        advice: "With --qmp, a loss is mended by migrate-recover, and migrate with resume=true",
      });
    }
  }
  return {
    capabilities,
    recover,
    parameters: Object.assign({}, ...given.texts("parameter").map(parseSetting)),
    postcopyAfter: postcopyAfter === undefined
      ? undefined
      : parseDuration(postcopyAfter, "--postcopy-after"),
    qmp,
    json: given.flag("json"),
    quiet: given.flag("quiet"),
    publicApi: given.flag("public-api"),
  };
}

function machineArguments(given: Given): MachineArguments {
  const [ram, rate, seed, log] = MACHINE_TEXTS.map((name) => given.text(name));
  if (seed !== undefined && !/^\d{1,15}$/.test(seed)) {
    throw new UsageError(`--seed ${seed} is not a whole number`);
  }
  if (log !== undefined && !(DIRTY_LOGS as string[]).includes(log)) {
    throw new UsageError(`There is no dirty log "${log}"`, {
      advice: `Write one of ${DIRTY_LOGS.join(", ")}`,
    });
  }
  return {
    ram: ram === undefined ? undefined : parseRam(ram),
    dirtyRate: rate === undefined ? undefined : parseSize(rate, "--dirty-rate"),
    seed: seed === undefined ? undefined : Number(seed),
    dirtyLog: log as DirtyLogKind | undefined,
  };
}

function parseRam(text: string): number {
  const size = parseSize(text, "--ram");
  if (size === 0 || size % 4096 !== 0) {
    throw new UsageError(`--ram ${text} is not whole pages of 4096 bytes`);
  }
  return size;
}

function parseHostPage(text: string): [string, number] {
  const at = text.lastIndexOf("=");
  if (at < 1) throw new UsageError(`--host-page ${text} is not BLOCK=SIZE`);
  return [text.slice(0, at), parseSize(text.slice(at + 1), "--host-page")];
}

function parseCapability(text: string): [string, boolean] {
  const [name = "", state = "on", more] = text.split("=");
  if (more !== undefined || (state !== "on" && state !== "off")) {
    throw new UsageError(`Capability "${text}" is not NAME, NAME=on or NAME=off`);
  }
  return [name, state === "on"];
}

function parseSetting(text: string): ParameterChanges {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`Parameter "${text}" is not NAME=VALUE`);
  return parseParameter(text.slice(0, at), text.slice(at + 1));
}

function uriOf(
  positional: readonly string[],
  { qmp }: MigrationArguments,
): string | undefined {
  const [uri, ...more] = positional;
  refusePositional(more);
  if (uri !== undefined) parseUri(uri);
  else if (qmp === undefined) {
    throw new UsageError("A URI is missing", {
      advice: "Write one such as tcp:127.0.0.1:4444, or --qmp unix:PATH to wait for a command",
    });
  }
  return uri;
}

function refusePositional([first]: readonly string[]): void {
  if (first !== undefined) throw new UsageError(`"${first}" is not expected here`);
}
