/**
 * Whose QMP this is: programs choose what they may ask by the release of QEMU that a server names.
 *
 * @module
 */

/** What the greeting and `query-version` say. */
export interface QmpVersion {
  /** The release of QEMU whose QMP is spoken. */
  readonly qemu: { readonly major: number; readonly minor: number; readonly micro: number };
  /** The program that speaks it. */
  readonly package: string;
}

/** Ours. */
export const QMP_VERSION: QmpVersion = {
  qemu: { major: 10, minor: 0, micro: 0 },
  package: "ferry-0.1.0",
};
