/**
 * Finds the JSON values in a stream of bytes, wherever it is split. They need no line ends between them;
 * a value ends where its brackets do (QEMU `qobject/json-lexer.c`, `json-streamer.c`).
 *
 * @module
 */
import { jsonError } from "./json.ts";
import { QmpError } from "./qmp_error.ts";

/** The most bytes of one value: QMP's commands need some hundred. */
export const MESSAGE_MAX = 1 << 20;
/** The most brackets that may be open at a time, as in QEMU. */
export const NESTING_MAX = 1024;

/** What is kept for the next value. */
const KEPT = 64 * 1024;

/** A value's text, or what was there instead. */
export type JsonFound = { readonly text: string } | { readonly error: QmpError };

type State = "start" | "word" | "string" | "escape" | "recovery";

const Byte = {
  TAB: 0x09,
  SPACE: 0x20,
  DOUBLE_QUOTE: 0x22,
  SINGLE_QUOTE: 0x27,
  BACKSLASH: 0x5c,
  /** This and the next one are in no UTF-8: with them a client can begin afresh, wherever it was. */
  NEVER_IN_TEXT: 0xfe,
} as const;

const STRUCTURAL = new Set(Array.from("{}[],:", (each) => each.charCodeAt(0)));
const OPENING = new Set(Array.from("{[", (each) => each.charCodeAt(0)));
const CLOSING = new Set(Array.from("}]", (each) => each.charCodeAt(0)));
const WORD_BEGIN = new Set(
  Array.from("abcdefghijklmnopqrstuvwxyz0123456789-", (each) => each.charCodeAt(0)),
);
const WORD = new Set([...WORD_BEGIN, ...Array.from("+.E", (each) => each.charCodeAt(0))]);
const SPACE = new Set(Array.from(" \t\r\n", (each) => each.charCodeAt(0)));

/** Takes bytes and gives values; after an error it goes on where the next value can begin. */
export class JsonSplitter {
  #state: State = "start";
  #quote = 0;
  #depth = 0;
  /** The bytes of the value that has begun. */
  #bytes = new Uint8Array(256);
  #length = 0;

  /** @param max The most bytes of one value. */
  constructor(private readonly max = MESSAGE_MAX) {}

  /** Takes bytes. @returns What they complete, found while it is iterated; it must be, to the end. */
  *feed(bytes: Uint8Array): Generator<JsonFound, void, void> {
    for (const byte of bytes) {
      if (this.#state === "recovery") {
        if (!canBegin(byte)) continue;
        this.#state = "start";
      }
      if (this.#state === "word" && !WORD.has(byte)) {
        this.#state = "start";
        if (this.#depth === 0) yield this.#take();
      }
      const error = this.#step(byte);
      if (error) {
        this.#reset();
        this.#state = "recovery";
        yield { error };
      } else if (this.#state === "start" && this.#length > 0 && this.#depth <= 0) {
        yield this.#take();
      }
    }
  }

  #step(byte: number): QmpError | undefined {
    switch (this.#state) {
      case "escape":
        this.#state = "string";
        return this.#string(byte);
      case "string":
        if (byte === this.#quote) this.#state = "start";
        else if (byte === Byte.BACKSLASH) this.#state = "escape";
        return this.#string(byte);
      case "word":
        return this.#add(byte);
      default:
        return this.#start(byte);
    }
  }

  #string(byte: number): QmpError | undefined {
    if (byte < Byte.SPACE) return jsonError("control character in string");
    if (byte >= Byte.NEVER_IN_TEXT) return jsonError(`stray '${printable(byte)}' in string`);
    return this.#add(byte);
  }

  #start(byte: number): QmpError | undefined {
    if (SPACE.has(byte)) return this.#length > 0 ? this.#add(byte) : undefined;
    if (byte === Byte.DOUBLE_QUOTE || byte === Byte.SINGLE_QUOTE) {
      this.#state = "string";
      this.#quote = byte;
    } else if (WORD_BEGIN.has(byte)) {
      this.#state = "word";
    } else if (OPENING.has(byte)) {
      if (++this.#depth > NESTING_MAX) return new QmpError("JSON nesting depth limit exceeded");
    } else if (CLOSING.has(byte)) {
      this.#depth--;
    } else if (!STRUCTURAL.has(byte)) {
      return jsonError(`stray '${printable(byte)}'`);
    }
    return this.#add(byte);
  }

  #add(byte: number): QmpError | undefined {
    if (this.#length === this.max) return new QmpError("JSON token size limit exceeded");
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.max, 2 * this.#length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#length++] = byte;
    return undefined;
  }

  #take(): JsonFound {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#reset();
    try {
      return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
    } catch {
      return { error: jsonError("invalid UTF-8 sequence in string") };
    }
  }

  #reset(): void {
    if (this.#bytes.length > KEPT) this.#bytes = new Uint8Array(256);
    this.#length = 0;
    this.#depth = 0;
  }
}

/** Where it can be tried again after an error: at a bracket or separator, a line's end, or a byte no text has. */
function canBegin(byte: number): boolean {
  return STRUCTURAL.has(byte) || (byte < Byte.SPACE && byte !== Byte.TAB) ||
    byte >= Byte.NEVER_IN_TEXT;
}

function printable(byte: number): string {
  return byte > Byte.SPACE && byte < 0x7f
    ? String.fromCharCode(byte)
    : `\\x${byte.toString(16).padStart(2, "0")}`;
}
