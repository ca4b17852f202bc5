/**
 * Passing from one PART of the `ram` section to the next without the main thread: in postcopy a source
 * sends little else, and a vCPU stands still until the thread that receives has its page.
 *
 * @module
 */
import type { ByteSource } from "../wire/byte_source.ts";
import { ElementType, SECTION_FOOTER_SIZE } from "../wire/section.ts";
import { RamFlag } from "./flags.ts";

const EOS_SIZE = 8;
const FOOTER_END = EOS_SIZE + SECTION_FOOTER_SIZE;
const HOP_SIZE = FOOTER_END + 5;

/** What stands at the stream's position. */
export type Hop =
  /** It was the end of a PART and the beginning of another, and both are passed. */
  | "passed"
  /** It may be, when more bytes are there. */
  | "more"
  /** It is something else, and unread. */
  | "other";

/** Passes over the ends of one stream's PARTs. */
export class SectionHop {
  readonly #expected = new Uint8Array(HOP_SIZE);
  readonly #found = new Uint8Array(HOP_SIZE);

  /**
   * @param stream The stream; it must be this thread's turn.
   * @param sectionId The id of the `ram` section.
   */
  constructor(private readonly stream: ByteSource, sectionId: number) {
    const view = new DataView(this.#expected.buffer);
    view.setUint32(4, RamFlag.EOS);
    view.setUint8(EOS_SIZE, ElementType.SECTION_FOOTER);
    view.setUint32(EOS_SIZE + 1, sectionId);
    view.setUint8(FOOTER_END, ElementType.SECTION_PART);
    view.setUint32(FOOTER_END + 1, sectionId);
  }

  /** Passes over one, if it is there. */
  pass(): Hop {
    const count = Math.min(this.stream.available, HOP_SIZE);
    const found = this.#found.subarray(0, count);
    this.stream.peek(found);
    // Nothing is waited for that another element would not have as well.
    if (found.some((byte, i) => byte !== this.#expected[i])) return "other";
    if (count < HOP_SIZE) return "more";
    this.stream.consume(HOP_SIZE);
    return "passed";
  }
}
