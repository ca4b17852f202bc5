/**
 * Prints JSON as QEMU's script does: four spaces, everything beyond ASCII escaped. What is printed may be
 * larger than memory, so it goes out in pieces.
 *
 * @module
 */
import { StateInteger, type StateValue } from "./state_value.ts";

/** Takes what was printed; the bytes are reused after the call. */
export type ByteSink = (bytes: Uint8Array) => void;

/** How much is collected before it goes out, in bytes. */
const BUFFER_SIZE = 256 * 1024;
/** How much text is collected before it is encoded: three bytes are the most that a unit of it takes. */
const TEXT_SIZE = BUFFER_SIZE / 4;
/** Bytes up to which hexadecimal digits are text like any other. */
const SHORT_SIZE = 32;
const DIGITS = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));
/** The same two digits of each byte as ASCII. */
const DIGIT_CODES = new TextEncoder().encode(DIGITS.join(""));

/** Prints one value, member by member. */
export class JsonWriter {
  readonly #buffer = new Uint8Array(BUFFER_SIZE);
  readonly #utf8 = new TextEncoder();
  #length = 0;
  /** What follows the buffer's content and is not encoded yet. */
  #pending = "";
  #depth = 0;
  /** Whether the list or object that is open has nothing in it yet. */
  #empty = true;

  /** @param sink Where the text goes. */
  constructor(private readonly sink: ByteSink) {}

  /** Opens an object or a list; its members are written by {@linkcode key} or {@linkcode element}. */
  open(bracket: "{" | "["): void {
    this.#text(bracket);
    this.#depth++;
    this.#empty = true;
  }

  /** Closes what was opened last. */
  close(bracket: "}" | "]"): void {
    this.#depth--;
    if (!this.#empty) this.#newLine();
    this.#text(bracket);
    this.#empty = false;
  }

  /** Begins a member of an object: its value must follow. */
  key(name: string): void {
    this.element();
    this.#text(quoted(name));
    this.#text(": ");
  }

  /** Begins an element of a list. */
  element(): void {
    if (!this.#empty) this.#text(",");
    this.#newLine();
    this.#empty = false;
  }

  /** Writes text. */
  string(text: string): void {
    this.#text(quoted(text));
  }

  /** Writes bytes as hexadecimal text with spaces between them. */
  hex(bytes: Uint8Array): void {
    if (bytes.length <= SHORT_SIZE) {
      let text = "";
      for (const byte of bytes) text += text === "" ? DIGITS[byte] : ` ${DIGITS[byte]}`;
      this.#text(`"${text}"`);
      return;
    }
    this.#text('"');
    this.#encode();
    for (let from = 0; from < bytes.length; from += TEXT_SIZE) {
      const part = bytes.subarray(from, from + TEXT_SIZE);
      this.#room(3 * part.length);
      const buffer = this.#buffer;
      let at = this.#length;
      for (let i = 0; i < part.length; i++) {
        const digits = 2 * part[i]!;
        buffer[at] = DIGIT_CODES[digits]!;
        buffer[at + 1] = DIGIT_CODES[digits + 1]!;
        buffer[at + 2] = 0x20;
        at += 3;
      }
      this.#length = from + part.length === bytes.length ? at - 1 : at;
    }
    this.#text('"');
  }

  /** Writes device state. */
  state(value: StateValue): void {
    if (value === null) this.string("nullptr");
    else if (typeof value === "string") this.string(value);
    else if (typeof value === "boolean") this.#text(String(value));
    else if (value instanceof StateInteger) this.string(value.text);
    else if (value instanceof Uint8Array) this.hex(value);
    else if (Array.isArray(value)) {
      this.open("[");
      for (const each of value) {
        this.element();
        this.state(each);
      }
      this.close("]");
    } else {
      this.open("{");
      for (const [name, member] of value) {
        this.key(name);
        this.state(member);
      }
      this.close("}");
    }
  }

  /** Writes what `JSON.parse` returned or what it could have. */
  json(value: unknown): void {
    if (Array.isArray(value)) {
      this.open("[");
      for (const each of value) {
        this.element();
        this.json(each);
      }
      this.close("]");
    } else if (typeof value === "object" && value !== null) {
      this.open("{");
      for (const [name, member] of Object.entries(value)) {
        if (member === undefined) continue;
        this.key(name);
        this.json(member);
      }
      this.close("}");
    } else if (typeof value === "string") this.string(value);
    else this.#text(JSON.stringify(value));
  }

  /** Sends what is left of the text. @param last What follows the value. */
  end(last = "\n"): void {
    this.#text(last);
    this.#encode();
    this.#flush();
  }

  #newLine(): void {
    this.#text("\n" + "    ".repeat(this.#depth));
  }

  #text(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= TEXT_SIZE) this.#encode();
  }

  #encode(): void {
    for (let from = 0; from < this.#pending.length; from += TEXT_SIZE) {
      const part = this.#pending.slice(from, from + TEXT_SIZE);
      this.#room(3 * part.length);
      this.#length += this.#utf8.encodeInto(part, this.#buffer.subarray(this.#length)).written;
    }
    this.#pending = "";
  }

  #room(count: number): void {
    if (this.#length + count > BUFFER_SIZE) this.#flush();
  }

  #flush(): void {
    if (this.#length > 0) this.sink(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
  }
}

function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}
