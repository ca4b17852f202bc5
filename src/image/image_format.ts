/**
 * What a machine image's file can be.
 *
 * @module
 */

/** All formats, by their names. */
export const IMAGE_FORMATS = ["stream", "mapped-ram"] as const;
/**
 * `stream` for `-incoming file:PATH`; `mapped-ram` for that and the capability of this name, with which
 * QEMU 9.0 and newer write and read pages at fixed places of the file, with many threads.
 */
export type ImageFormat = typeof IMAGE_FORMATS[number];
