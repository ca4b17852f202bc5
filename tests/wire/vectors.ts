/**
 * What the tests of this room do with a message: it is the bytes that QEMU sends, and it is read from them
 * however they arrive.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, type MigrationError } from "../../src/errors.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";

/** Hex digits, with blanks between them where that helps, as bytes. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replaceAll(/\s/g, ""));
}

/** What a function writes, as hex digits. */
export function written(write: (writer: ByteWriter) => void): string {
  const writer = new ByteWriter(1);
  write(writer);
  return writer.take().toHex();
}

/** Text as hex digits. */
export function text(letters: string): string {
  return new TextEncoder().encode(letters).toHex();
}

/**
 * Checks that a value is read from bytes one at a time and at every split, that exactly these bytes are
 * consumed, and that each shorter piece of them is a connection that was lost.
 * @param hex The message.
 * @param read Reads it.
 * @param expected What it says.
 */
export async function assertReads<T>(
  hex: string,
  read: (reader: ByteReader) => Promise<T>,
  expected: T,
): Promise<void> {
  const bytes = fromHex(hex);
  const more = new Uint8Array([...bytes, 0xee]);
  for (const reader of [byteByByte(more), ...[...everySplit(more)].map(({ reader }) => reader)]) {
    assertEquals(await read(reader), expected);
    assertEquals(reader.position, bytes.length);
    assertEquals(await reader.u8("what follows"), 0xee);
  }
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    for (const reader of [ByteReader.of(cut), byteByByte(cut)]) {
      await assertRejects(() => read(reader), ConnectionLostError, undefined, `after ${length}`);
    }
  }
}

/**
 * Checks that bytes are refused, however they arrive, with the same error at the same place.
 * @param hex The message.
 * @param read Reads it.
 * @param type The error's class.
 * @param message A part of its message.
 * @param offset Where the error says that it is.
 */
export async function assertRefuses(
  hex: string,
  read: (reader: ByteReader) => Promise<unknown>,
  type: new (...parameters: never[]) => MigrationError,
  message: string,
  offset = 0,
): Promise<void> {
  const bytes = fromHex(hex);
  for (const reader of [ByteReader.of(bytes), byteByByte(bytes)]) {
    const error = await assertRejects(
      () => read(reader),
      type as new (...parameters: unknown[]) => MigrationError,
      message,
    );
    assertEquals(error.place.offset, offset, error.message);
  }
}
