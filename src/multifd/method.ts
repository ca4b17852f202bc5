/**
 * The compression methods of multifd (wire-format §6.3).
 *
 * @module
 */

/** The methods that are available here, as the parameter `multifd-compression` names them. */
export type MultifdMethod = "none" | "zlib" | "zstd";

/** How a packet's flags name the method. */
export const METHOD_FLAGS: Readonly<Record<MultifdMethod, number>> = {
  none: 0,
  zlib: 0x02,
  zstd: 0x04,
};

/** The names of all methods that QEMU has, by their flags; for messages. */
const METHOD_NAMES: Readonly<Record<number, string>> = {
  0x00: "none",
  0x02: "zlib",
  0x04: "zstd",
  0x08: "qpl",
  0x10: "uadk",
  0x20: "qatzip",
};

/** What a packet's flags say of the method, for messages. */
export function describeMethod(flags: number): string {
  return METHOD_NAMES[flags] ?? `0x${flags.toString(16)}`;
}

/** How pages are compressed. */
export interface MultifdCompression {
  readonly method: MultifdMethod;
  /** 0 to 9 for zlib, 0 to 20 for zstd. */
  readonly level: number;
  /**
   * Whether to use the engine's synchronous handles, which lean on an internal of Deno, or the slower
   * public streams.
   * @default {"handle"}
   */
  readonly codec?: "handle" | "stream";
}
