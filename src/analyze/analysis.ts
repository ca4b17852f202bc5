/**
 * What is known of a stream after it has been walked over, or as far as that went.
 *
 * @module
 */
import type { MigrationError } from "../errors.ts";
import type { Description } from "./description.ts";
import type { LiveWalk } from "./live_sections.ts";
import type { RamWalk } from "./ram_walk.ts";
import type { StateStruct } from "./state_value.ts";

/** The configuration section. */
export interface WalkedConfiguration {
  /** The machine type. */
  readonly machine: string;
  /** The capabilities that both sides must agree on. */
  readonly capabilities: readonly string[];
  /** log2 of the target page size, when the sender says it. */
  readonly targetPageBits: number | undefined;
  /** 16 bytes, when the sender has `validate-uuid`. */
  readonly uuid: Uint8Array | undefined;
}

/** A section that began in the stream. */
export interface WalkedSection {
  readonly idstr: string;
  readonly instanceId: number;
  readonly versionId: number;
  readonly sectionId: number;
  /** What walks over its payloads, for live sections that are understood. */
  readonly live: RamWalk | LiveWalk | undefined;
  /** Its state by the description: whole, or what there was before a failure. */
  state: StateStruct | undefined;
  /** Its payload, where it is kept and nobody describes it, and where it begins in the stream. */
  raw: { readonly bytes: Uint8Array<ArrayBuffer>; readonly offset: number } | undefined;
}

/** One line of the stream's table of contents. Repeated parts of live sections share one. */
export interface WalkedElement {
  /** Offset in the stream of its type byte. */
  readonly offset: number;
  /** What it is. */
  readonly kind: "start" | "part" | "end" | "full" | "command";
  /** The section's name and instance or the command's name. */
  readonly name: string;
  /** A section's version. */
  readonly versionId: number | undefined;
  /** What the command says. */
  readonly detail: string;
  /** Whether it is inside a package. */
  readonly packaged: boolean;
  /** Bytes, with headers and footers. */
  size: number;
  /** How many it stands for. */
  count: number;
}

/** Bytes that belong to nothing. */
export interface TrailingData {
  readonly offset: number;
  readonly size: number;
}

/** The result. */
export class Analysis {
  configuration: WalkedConfiguration | undefined;
  /** The target page, in bytes. */
  pageSize = 4096;
  /** The `ram` section. */
  ram: RamWalk | undefined;
  /** Sections by their ids, in the stream's order. */
  readonly sections = new Map<number, WalkedSection>();
  /** The table of contents. */
  readonly elements: WalkedElement[] = [];
  /** The description, found before or after. */
  description: Description | undefined;
  /** Whether the stream came to its end mark. */
  ended = false;
  /** What follows the stream. */
  trailing: TrailingData | undefined;
  /** What is odd, in sentences. */
  readonly oddities: string[] = [];
  /** Why the walk did not get further. */
  failure: MigrationError | undefined;
  /** How many bytes were walked over. */
  size = 0;

  /** @param name What the stream is called. */
  constructor(readonly name: string) {}
}
