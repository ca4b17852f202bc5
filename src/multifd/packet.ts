/**
 * What travels on a multifd channel: the packet with which it introduces itself, and the header of every
 * packet of pages (wire-format §6.1 and §6.2; QEMU `migration/multifd.c`, `MultiFDInit_t`,
 * `MultiFDPacket_t`).
 *
 * ```text
 * introduction  0 magic  4 version  8 UUID  24 channel  25 zero up to 64
 * header        0 magic  4 version  8 flags  12 pages allocated  16 normal pages  20 payload bytes
 *              24 packet number (64 bits)  32 zero pages  36 zero  64 block name  320 offsets (64 bits)
 * ```
 *
 * All numbers are big-endian. A header is always complete: it has room for as many offsets as a packet
 * can have pages, first those of pages with content, then those of zero pages.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";

/** Begins both kinds of packet. */
export const MULTIFD_MAGIC = 0x11223344;
/** The only version there is. */
export const MULTIFD_VERSION = 1;
/** An introduction's length, in bytes. */
export const INTRODUCTION_BYTES = 64;

/** A packet has at most this much content, in bytes. */
export const PACKET_CONTENT = 512 * 1024;
/** A payload has at most this many bytes: compressing can make pages larger. */
export const PAYLOAD_MAX = 2 * PACKET_CONTENT;

/** Bits of a header's flags. */
export const PacketFlag = {
  SYNC: 0x01,
  /** The bits that say how the payload is compressed. */
  METHOD: 0x3e,
  /** Device state with another header, since QEMU 10.0. */
  DEVICE_STATE: 0x40,
} as const;

/** Where the header's members are, in bytes. */
export const Header = {
  MAGIC: 0,
  VERSION: 4,
  FLAGS: 8,
  PAGES_ALLOCATED: 12,
  NORMAL_PAGES: 16,
  PAYLOAD_BYTES: 20,
  PACKET_NUMBER: 24,
  ZERO_PAGES: 32,
  NAME: 64,
  NAME_BYTES: 256,
  OFFSETS: 320,
} as const;

/** How many pages a packet has at most. @param pageSize The target page, in bytes. */
export function packetPages(pageSize: number): number {
  return PACKET_CONTENT / pageSize;
}

/** A header's length, in bytes. @param pageSize The target page, in bytes. */
export function headerBytes(pageSize: number): number {
  return Header.OFFSETS + 8 * packetPages(pageSize);
}

/** How a channel introduces itself. */
export interface Introduction {
  /** The machine's, 16 bytes; zeros if it has none. */
  readonly uuid: Uint8Array;
  /** Which channel it is, from 0 on. */
  readonly channel: number;
}

/** Encodes an introduction. */
export function encodeIntroduction({ uuid, channel }: Introduction): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(INTRODUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MULTIFD_MAGIC);
  view.setUint32(4, MULTIFD_VERSION);
  bytes.set(uuid, 8);
  view.setUint8(24, channel);
  return bytes;
}

/**
 * Decodes an introduction.
 * @param bytes Exactly {@linkcode INTRODUCTION_BYTES}.
 * @throws {StreamFormatError} If it is none, or of another version.
 */
export function decodeIntroduction(bytes: Uint8Array): Introduction {
  if (bytes.length !== INTRODUCTION_BYTES) {
    throw new StreamFormatError(
      `A multifd introduction of ${bytes.length} bytes: it has ${INTRODUCTION_BYTES}`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  checkMagic(view.getUint32(0), view.getUint32(4), "introduction");
  return { uuid: bytes.slice(8, 24), channel: view.getUint8(24) };
}

/**
 * Checks how a packet begins.
 * @param kind What it would be, for the message.
 * @throws {StreamFormatError} If magic or version are others.
 */
export function checkMagic(magic: number, version: number, kind: string): void {
  if (magic !== MULTIFD_MAGIC) {
    throw new StreamFormatError(
      `A multifd ${kind} with magic 0x${magic.toString(16)}: it is 0x${MULTIFD_MAGIC.toString(16)}`,
    );
  }
  if (version !== MULTIFD_VERSION) {
    throw new StreamFormatError(
      `A multifd ${kind} of version ${version}: only ${MULTIFD_VERSION} is known`,
    );
  }
}
