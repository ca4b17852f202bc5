/**
 * The messages of the return path, destination to source (wire-format §3; QEMU `migration/migration.c`,
 * `rp_cmd_args` and `source_return_path_thread`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { ByteReader } from "./byte_reader.ts";
import type { ByteSource } from "./byte_source.ts";
import { ByteWriter } from "./byte_writer.ts";

/** A message's number. */
export const ReturnPathType = {
  INVALID: 0,
  SHUT: 1,
  PONG: 2,
  REQ_PAGES_ID: 3,
  REQ_PAGES: 4,
  RECV_BITMAP: 5,
  RESUME_ACK: 6,
  SWITCHOVER_ACK: 7,
} as const;
/** One of the {@linkcode ReturnPathType} numbers. */
export type ReturnPathType = typeof ReturnPathType[keyof typeof ReturnPathType];

/** The longest payload QEMU's source accepts, in bytes. */
export const RETURN_PATH_PAYLOAD_MAX = 512;
/** What RESUME_ACK carries. */
export const RESUME_ACK_VALUE = 1;
/** What follows the bitmap of RECV_BITMAP. */
export const RECV_BITMAP_END_MARK = 0x0123456789abcdefn;

/** That the destination waits for pages. */
export interface PageRequest {
  readonly type: "REQ_PAGES";
  /** The block's name, or `undefined` for the block of the request before. */
  readonly block: string | undefined;
  /** Offset in the block, in bytes. */
  readonly start: number;
  /** In bytes. */
  readonly length: number;
}

/** A decoded message. */
export type ReturnPathMessage =
  | PageRequest
  | { readonly type: "SHUT"; readonly status: number }
  | { readonly type: "PONG"; readonly value: number }
  /** The bitmap itself follows the message: be64 size, the bytes, be64 end mark. */
  | { readonly type: "RECV_BITMAP"; readonly block: string }
  | { readonly type: "RESUME_ACK"; readonly value: number }
  | { readonly type: "SWITCHOVER_ACK" };

/** Payload lengths; `undefined` where the length varies. */
const LENGTHS: readonly (number | undefined)[] = [undefined, 4, 4, undefined, 12, undefined, 4, 0];
const NAMES = Object.fromEntries(
  Object.entries(ReturnPathType).map(([name, number]) => [number, name]),
);

/** Encodes one message with its header. */
export function encodeReturnPathMessage(message: ReturnPathMessage): Uint8Array<ArrayBuffer> {
  const payload = new ByteWriter(32);
  let type: ReturnPathType;
  switch (message.type) {
    case "SHUT":
      type = ReturnPathType.SHUT;
      payload.be32(message.status);
      break;
    case "PONG":
      type = ReturnPathType.PONG;
      payload.be32(message.value);
      break;
    case "REQ_PAGES":
      type = message.block === undefined ? ReturnPathType.REQ_PAGES : ReturnPathType.REQ_PAGES_ID;
      payload.be64(message.start).be32(message.length);
      if (message.block !== undefined) payload.countedString(message.block);
      break;
    case "RECV_BITMAP":
      type = ReturnPathType.RECV_BITMAP;
      payload.countedString(message.block);
      break;
    case "RESUME_ACK":
      type = ReturnPathType.RESUME_ACK;
      payload.be32(message.value);
      break;
    case "SWITCHOVER_ACK":
      type = ReturnPathType.SWITCHOVER_ACK;
      break;
  }
  return new ByteWriter(4 + payload.length).be16(type).be16(payload.length).bytes(payload.take())
    .take();
}

/** The size of a request that names no block: header, be64 offset, be32 length. */
const PLAIN_REQUEST = 16;
const PLAIN_HEADER = ReturnPathType.REQ_PAGES << 16 | (PLAIN_REQUEST - 4);
const plain = new DataView(new ArrayBuffer(PLAIN_REQUEST));
const plainBytes = new Uint8Array(plain.buffer);

/**
 * Encodes a request that names no block, as nearly all do, without making anything.
 * @param into Where the request goes.
 * @param at Where in there, in bytes.
 * @returns Where it ends.
 */
export function putPlainRequest(
  into: Uint8Array,
  at: number,
  { start, length }: Pick<PageRequest, "start" | "length">,
): number {
  plain.setUint32(0, PLAIN_HEADER);
  plain.setUint32(4, Math.floor(start / 2 ** 32));
  plain.setUint32(8, start >>> 0);
  plain.setUint32(12, length);
  into.set(plainBytes, at);
  return at + PLAIN_REQUEST;
}

/**
 * Takes a request that names no block and is there as a whole.
 * @returns `undefined`, and nothing is consumed, if what comes next is anything else.
 */
export function takePlainRequest(source: ByteSource): PageRequest | undefined {
  if (source.available < PLAIN_REQUEST) return undefined;
  source.peek(plainBytes);
  const start = plain.getUint32(4) * 2 ** 32 + plain.getUint32(8);
  if (plain.getUint32(0) !== PLAIN_HEADER || !Number.isSafeInteger(start)) return undefined;
  source.consume(PLAIN_REQUEST);
  return { type: "REQ_PAGES", block: undefined, start, length: plain.getUint32(12) };
}

/**
 * Reads one message.
 * @returns The message, or `undefined` if the stream ended between messages.
 * @throws {StreamFormatError} If the type is unknown or the length is not that type's.
 */
export async function readReturnPathMessage(
  reader: ByteReader,
): Promise<ReturnPathMessage | undefined> {
  if (await reader.atEnd()) return undefined;
  const offset = reader.position;
  const type = await reader.be16("a return-path message");
  const length = await reader.be16("a return-path message's length");
  const refuse = (why: string): never => {
    throw new StreamFormatError(why, { place: { channel: "return path", offset } });
  };
  if (type === ReturnPathType.INVALID || type >= LENGTHS.length) {
    refuse(`Unknown return-path message ${type} of ${length} bytes`);
  }
  const expected = LENGTHS[type];
  const name = NAMES[type];
  if (length > RETURN_PATH_PAYLOAD_MAX || (expected !== undefined && length !== expected)) {
    refuse(`${name} with ${length} bytes, not ${expected ?? `at most ${RETURN_PATH_PAYLOAD_MAX}`}`);
  }
  const bytes = await reader.bytes(length, RETURN_PATH_PAYLOAD_MAX, `the payload of ${name}`);
  const payload = ByteReader.of(bytes, offset + 4);
  const blockName = async (before: number): Promise<string> => {
    if (length <= before || bytes[before] !== length - before - 1) {
      refuse(`${name} with ${length} bytes, which do not fit its block's name`);
    }
    return await payload.countedString(`the block of ${name}`);
  };
  switch (type as ReturnPathType) {
    case ReturnPathType.SHUT:
      return { type: "SHUT", status: await payload.be32("SHUT") };
    case ReturnPathType.PONG:
      return { type: "PONG", value: await payload.be32("PONG") };
    case ReturnPathType.REQ_PAGES_ID:
    case ReturnPathType.REQ_PAGES: {
      if (length < 12) refuse(`${name} with ${length} bytes, not at least 13`);
      const start = await payload.size64("a requested page's offset");
      const size = await payload.be32("a requested length");
      const block = type === ReturnPathType.REQ_PAGES ? undefined : await blockName(12);
      return { type: "REQ_PAGES", block, start, length: size };
    }
    case ReturnPathType.RECV_BITMAP:
      return { type: "RECV_BITMAP", block: await blockName(0) };
    case ReturnPathType.RESUME_ACK:
      return { type: "RESUME_ACK", value: await payload.be32("RESUME_ACK") };
    default:
      return { type: "SWITCHOVER_ACK" };
  }
}
