/**
 * The flags in the low bits of a page record's header (wire-format §5.1; QEMU `migration/ram.c`,
 * `RAM_SAVE_FLAG_*`).
 *
 * @module
 */

/** One bit each; the rest of the 64-bit header is the page's offset in its block. */
export const RamFlag = {
  ZERO: 0x002,
  MEM_SIZE: 0x004,
  PAGE: 0x008,
  EOS: 0x010,
  CONTINUE: 0x020,
  XBZRLE: 0x040,
  HOOK: 0x080,
  COMPRESS_PAGE: 0x100,
  MULTIFD_FLUSH: 0x200,
} as const;

/** All bits that are flags: the smallest target page is 1 KiB. */
export const RAM_FLAGS_MASK = 0x3ff;

/** The number of the one encoding of XBZRLE records; the data's length (16 bits) and the data follow. */
export const XBZRLE_ENCODING = 1;
/** Bytes of both numbers. */
export const XBZRLE_HEADER = 3;

/** The section's name and version. */
export const RAM_SECTION = { idstr: "ram", instanceId: 0, versionId: 4 } as const;

/** What a header's flags say, for messages: `PAGE|CONTINUE (0x28)`. */
export function describeRamFlags(flags: number): string {
  const names = Object.entries(RamFlag).filter(([, bit]) => flags & bit).map(([name]) => name);
  return `${names.join("|") || "no flag"} (0x${flags.toString(16)})`;
}
