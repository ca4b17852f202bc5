/**
 * Finds the end of a payload that nobody describes: a footer with the section's id that something follows
 * which can follow a section (as `savevm/opaque_section.ts` does on a connection).
 *
 * @module
 */
import { ConnectionLostError } from "../errors.ts";
import { ElementType, SECTION_FOOTER_SIZE } from "../wire/section.ts";
import type { StreamInput } from "./input.ts";

/** How much is searched in one go, in bytes: what follows a footer has to fit the window, too. */
const SCAN_SIZE = 64 * 1024;
/** Commands end with SWITCHOVER_START in 10.0; later versions may have some more. */
const COMMAND_MAX = 16;

/**
 * Passes over a payload up to its footer, which stays unread.
 * @param input At the payload's first byte.
 * @param sectionId What the footer repeats.
 * @param isOpen Whether a section of an id may go on.
 * @param keep Gets the payload in pieces, which are reused after the call.
 * @returns The payload's length in bytes.
 * @throws {ConnectionLostError} If the stream ends before a footer.
 */
export function scanToFooter(
  input: StreamInput,
  sectionId: number,
  isOpen: (sectionId: number) => boolean,
  keep?: (part: Uint8Array) => void,
): number {
  const start = input.position;
  for (;;) {
    if (!input.has(SECTION_FOOTER_SIZE)) {
      throw new ConnectionLostError("The stream ended before the section's footer", {
        place: { offset: input.position },
      });
    }
    input.has(SCAN_SIZE);
    const length = Math.min(input.end - input.at, SCAN_SIZE);
    const end = findFooter(input, length, sectionId, isOpen);
    // The last bytes may be the beginning of a footer.
    const count = end ?? length - (SECTION_FOOTER_SIZE - 1);
    keep?.(input.bytes.subarray(input.at, input.at + count));
    input.at += count;
    if (end !== undefined) return input.position - start;
  }
}

/** How far ahead the footer stands, if it is within `length` bytes. Looking ahead may move the window. */
function findFooter(
  input: StreamInput,
  length: number,
  sectionId: number,
  isOpen: (sectionId: number) => boolean,
): number | undefined {
  for (let ahead = 0;;) {
    const from = input.at + ahead;
    const at = input.bytes.indexOf(ElementType.SECTION_FOOTER, from);
    if (at < 0 || at + SECTION_FOOTER_SIZE > input.at + length) return undefined;
    ahead = at - input.at;
    if (
      input.view.getUint32(at + 1) === sectionId &&
      canFollow(input, ahead + SECTION_FOOTER_SIZE, isOpen)
    ) return ahead;
    ahead++;
  }
}

/** Whether what stands `ahead` bytes before us can be an element. */
function canFollow(
  input: StreamInput,
  ahead: number,
  isOpen: (sectionId: number) => boolean,
): boolean {
  switch (input.peek(ahead)) {
    case undefined:
      return true;
    case ElementType.EOF: {
      const next = input.peek(ahead + 1);
      return next === undefined || next === ElementType.VMDESCRIPTION;
    }
    case ElementType.SECTION_START:
    case ElementType.SECTION_FULL: {
      const length = input.peek(ahead + 5);
      if (!length || !input.has(ahead + 6 + length)) return false;
      const name = input.at + ahead + 6;
      return input.bytes.subarray(name, name + length).every((byte) => byte >= 0x20 && byte < 0x7f);
    }
    case ElementType.SECTION_PART:
    case ElementType.SECTION_END:
      return input.has(ahead + 5) && isOpen(input.view.getUint32(input.at + ahead + 1));
    case ElementType.COMMAND: {
      if (!input.has(ahead + 3)) return false;
      const command = input.view.getUint16(input.at + ahead + 1);
      return command > 0 && command <= COMMAND_MAX;
    }
    default:
      return false;
  }
}
