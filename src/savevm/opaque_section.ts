/**
 * Sections whose content we do not understand are carried, not guessed: kept byte for byte, their ends
 * found by their footers. The stream has no lengths, so an end is a footer with the section's id that
 * something follows which can follow a section; the JSON description at the stream's end confirms it
 * (`vm_description_sizes.ts`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { ElementType, SECTION_FOOTER_SIZE } from "../wire/section.ts";
import type { LoadContext } from "./load.ts";

/** The most that one such section holds, in bytes: the largest seen is a graphics card's of some 20 MiB. */
export const OPAQUE_SECTION_MAX = 256 * 1024 * 1024;
/** How much is looked at in one go, in bytes. */
const SCAN_SIZE = 64 * 1024;
/** Commands end with SWITCHOVER_START in 10.0; later versions may have some more. */
const COMMAND_MAX = 16;

/**
 * Reads a payload up to its footer, which stays unread.
 * @param reader At the payload's first byte.
 * @param sectionId The section's id, which its footer repeats.
 * @param context Which sections are open: the others that may follow.
 * @returns The payload.
 * @throws {StreamFormatError} If the payload is longer than {@linkcode OPAQUE_SECTION_MAX}.
 * @throws {ConnectionLostError} If the stream ends before a footer.
 */
export async function readOpaquePayload(
  reader: ByteReader,
  sectionId: number,
  context: LoadContext,
): Promise<Uint8Array<ArrayBuffer>> {
  const { source } = reader;
  const payload = new GrowingBytes();
  // What follows a footer is looked at too, and must fit the source's window.
  const scan = new Uint8Array(
    Math.max(SECTION_FOOTER_SIZE, Math.min(SCAN_SIZE, source.window >>> 1)),
  );
  for (;;) {
    await reader.need(SECTION_FOOTER_SIZE, "a section we carry");
    const window = scan.subarray(0, Math.min(source.available, scan.length));
    source.peek(window);
    const end = await findEnd(window, sectionId, reader, context);
    const count = end ?? window.length - (SECTION_FOOTER_SIZE - 1);
    payload.add(window.subarray(0, count), reader.position);
    source.consume(count);
    if (end !== undefined) return payload.take();
  }
}

/** Where in the window the footer stands that ends the section, if it is there. */
async function findEnd(
  window: Uint8Array,
  sectionId: number,
  reader: ByteReader,
  context: LoadContext,
): Promise<number | undefined> {
  let at = indexOfFooter(window, sectionId, 0);
  while (at >= 0 && !await canFollow(reader, at + SECTION_FOOTER_SIZE, context)) {
    // Bytes of the device that look like a footer.
    at = indexOfFooter(window, sectionId, at + 1);
  }
  return at >= 0 ? at : undefined;
}

/** The first place from `from` on of `7e` and the id in big-endian, or -1. */
function indexOfFooter(bytes: Uint8Array, sectionId: number, from: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let next = from;;) {
    const at = bytes.indexOf(ElementType.SECTION_FOOTER, next);
    if (at < 0 || at + SECTION_FOOTER_SIZE > bytes.length) return -1;
    if (view.getUint32(at + 1) === sectionId) return at;
    next = at + 1;
  }
}

/** Whether what stands `ahead` bytes before us can be an element. */
async function canFollow(
  { source }: ByteReader,
  ahead: number,
  context: LoadContext,
): Promise<boolean> {
  /** The bytes from the element's type on, as far as they come. */
  const element = async (count: number): Promise<Uint8Array> => {
    const available = await source.wait(ahead + count);
    const bytes = new Uint8Array(Math.min(count, Math.max(0, available - ahead)));
    source.peek(bytes, ahead);
    return bytes;
  };
  const [type] = await element(1);
  switch (type) {
    case undefined:
    case ElementType.EOF: {
      // The end of the stream follows, or the description.
      const [, next] = await element(2);
      return next === undefined || next === ElementType.VMDESCRIPTION;
    }
    case ElementType.SECTION_START:
    case ElementType.SECTION_FULL: {
      const length = (await element(6))[5];
      if (!length) return false;
      const name = (await element(6 + length)).subarray(6);
      return name.length === length && name.every((byte) => byte >= 0x20 && byte < 0x7f);
    }
    case ElementType.SECTION_PART:
    case ElementType.SECTION_END: {
      const bytes = await element(5);
      return bytes.length === 5 && context.isOpen(new DataView(bytes.buffer).getUint32(1));
    }
    case ElementType.COMMAND: {
      const bytes = await element(3);
      const command = bytes.length === 3 ? new DataView(bytes.buffer).getUint16(1) : 0;
      return command > 0 && command <= COMMAND_MAX;
    }
    default:
      return false;
  }
}

class GrowingBytes {
  #bytes = new Uint8Array(4096);
  #length = 0;

  add(part: Uint8Array, offset: number): void {
    const length = this.#length + part.length;
    if (length > OPAQUE_SECTION_MAX) {
      throw new StreamFormatError(
        `Device state of more than ${OPAQUE_SECTION_MAX} bytes without a footer`,
        { place: { offset } },
      );
    }
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.#length);
    this.#length = length;
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}
