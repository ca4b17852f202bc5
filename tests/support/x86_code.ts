/**
 * As much of an assembler as the test guest needs: bytes in rows, each with its instruction as text, and
 * labels that may be used before they are placed.
 *
 * @module
 */

/** A place that is filled in when every label is known. */
type Reference = {
  /** `rel8`: distance from the next instruction; the others: the label's address. */
  readonly kind: "rel8" | "abs16" | "abs32";
  readonly label: string;
  /** Added to the label's address. */
  readonly plus: number;
};

/** One piece of an instruction: a byte, or a label's address or distance. */
export type CodePart = number | Reference;

const SIZE = { rel8: 1, abs16: 2, abs32: 4 } as const;

/** A short jump's distance to `label`. */
export const rel8 = (label: string): CodePart => ({ kind: "rel8", label, plus: 0 });
/** The low 16 bits of a label's address: its offset in a real-mode segment. */
export const abs16 = (label: string): CodePart => ({ kind: "abs16", label, plus: 0 });
/** A label's address, plus a constant. */
export const abs32 = (label: string, plus = 0): CodePart => ({ kind: "abs32", label, plus });

/**
 * A number as little-endian bytes.
 * @param value The number, up to 32 bits.
 * @param size How many bytes.
 * @returns The bytes.
 */
export function littleEndian(value: number, size: 2 | 4): number[] {
  return Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
}

/** Code that grows row by row from an address. */
export class X86Code {
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #references: (Reference & { at: number })[] = [];
  readonly #rows: { from: number; to: number; text: string }[] = [];

  /** @param origin Where in the guest's memory the first byte will be. */
  constructor(readonly origin: number) {}

  /** How many bytes there are. */
  get length(): number {
    return this.#bytes.length;
  }

  /**
   * Adds one instruction, or data.
   * @param text What it says, for {@linkcode X86Code.listing}.
   * @param parts Its bytes.
   * @returns This, for the next row.
   */
  row(text: string, ...parts: CodePart[]): this {
    const from = this.#bytes.length;
    for (const part of parts) {
      if (typeof part === "number") {
        if (!Number.isInteger(part) || part < 0 || part > 0xff) {
          throw new RangeError(`Not a byte in "${text}": ${part}`);
        }
        this.#bytes.push(part);
      } else {
        this.#references.push({ ...part, at: this.#bytes.length });
        for (let i = 0; i < SIZE[part.kind]; i++) this.#bytes.push(0);
      }
    }
    this.#rows.push({ from, to: this.#bytes.length, text });
    return this;
  }

  /** Gives the next row's address a name. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new RangeError(`Label placed twice: ${name}`);
    this.#labels.set(name, this.origin + this.#bytes.length);
    this.#rows.push({ from: this.#bytes.length, to: this.#bytes.length, text: `${name}:` });
    return this;
  }

  /**
   * Fills up with zeros.
   * @param length How many bytes there are afterwards.
   */
  padTo(length: number): this {
    if (this.#bytes.length > length) {
      throw new RangeError(`Code is ${this.#bytes.length} bytes long, more than ${length}`);
    }
    while (this.#bytes.length < length) this.#bytes.push(0);
    return this;
  }

  /** The bytes, with every label filled in. */
  build(): Uint8Array<ArrayBuffer> {
    const bytes = Uint8Array.from(this.#bytes);
    for (const { kind, label, plus, at } of this.#references) {
      const address = this.#labels.get(label);
      if (address === undefined) throw new RangeError(`Label never placed: ${label}`);
      const target = address + plus;
      if (kind === "rel8") {
        const distance = target - (this.origin + at + 1);
        if (distance < -128 || distance > 127) {
          throw new RangeError(`Label too far for a short jump: ${label}, ${distance} bytes`);
        }
        bytes[at] = distance & 0xff;
      } else {
        bytes.set(littleEndian(target, SIZE[kind]), at);
      }
    }
    return bytes;
  }

  /** The rows with their addresses and bytes, for people; every label must be placed. */
  get listing(): string {
    const bytes = this.build();
    return this.#rows.map(({ from, to, text }) => {
      if (from === to) return text;
      const address = (this.origin + from).toString(16).padStart(8, "0");
      return `${address}  ${bytes.subarray(from, to).toHex().padEnd(20)}  ${text}`;
    }).join("\n");
  }
}
