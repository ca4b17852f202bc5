/**
 * What a comparison of descriptions finds.
 *
 * @module
 */

/** What kind of difference was found. */
export type FindingKind =
  /** The destination has no such device. */
  | "section missing"
  /** The destination's device has no description, fields or subsections at all. */
  | "entry missing"
  /** The source sends a version that the destination does not know yet. */
  | "version too new"
  /** The source sends a version that the destination does not load any more. */
  | "version too old"
  /** A nested description is another one. */
  | "description differs"
  /** The destination has a plain value where the source has a description. */
  | "description missing"
  /** Another field stands where the source's does; what follows was not compared. */
  | "field differs"
  /** The destination's fields end before the source's. */
  | "field missing"
  /** A field has another size. */
  | "size differs"
  /** The destination's or source's unused space does not take whole fields; what follows was not compared. */
  | "unused space differs"
  /** The destination does not know a subsection. */
  | "subsection missing"
  /** Not a break by itself: the machine types have different names. */
  | "machine differs"
  /** An array has another length. QEMU's script does not look at it. */
  | "length differs"
  /** The destination reads a field that the source does not send. QEMU's script does not look at it. */
  | "field added"
  /** The destination does not read a field that the source sends. QEMU's script does not look at it. */
  | "field skipped";

/** One difference. */
export interface Finding {
  /** What it is. */
  readonly kind: FindingKind;
  /** Whether a migration would break; otherwise it is for information. */
  readonly breaks: boolean;
  /** The kind of device. */
  readonly section: string;
  /** The description in it. */
  readonly description?: string;
  /** The field in that. */
  readonly field?: string;
  /** What the source has. */
  readonly source?: string | number;
  /** What the destination has. */
  readonly destination?: string | number;
}

/** How strict a comparison is. */
export interface CompareOptions {
  /**
   * Whether what QEMU's script does not look at counts as a break. It may be wrong about QEMU's own
   * devices, whose hooks nobody sees here.
   * @default {false}
   */
  readonly strict?: boolean;
}

/** What {@linkcode CompareOptions.strict} is about. */
export const STRICT_KINDS: readonly FindingKind[] = [
  "length differs",
  "field added",
  "field skipped",
];

/** Both directions. */
export interface Comparison {
  /** What breaks a migration from the first to the second. */
  readonly forward: readonly Finding[];
  /** What breaks a migration from the second to the first. */
  readonly backward: readonly Finding[];
}
