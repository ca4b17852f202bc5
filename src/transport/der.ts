/**
 * As much of DER (ITU-T X.690) as certificates and revocation lists need. Strict: what has a second
 * spelling is refused, so that nobody else reads the same bytes differently.
 *
 * @module
 */

/** Tags of universal types, and how those of a context are made. */
export const Tag = {
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTF8_STRING: 0x0c,
  PRINTABLE_STRING: 0x13,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
  /** Constructed and explicit: `[0]`, `[1]`, ... */
  context: (number: number): number => 0xa0 | number,
} as const;

/** One value. */
export interface DerValue {
  readonly tag: number;
  /** Its contents. */
  readonly bytes: Uint8Array;
  /** The contents with tag and length before them. */
  readonly whole: Uint8Array;
}

/** The bytes are no DER, or not what was expected there. */
export class DerError extends Error {
  override readonly name = "DerError";
}

/** Reads values one after the other. */
export class DerReader {
  #at = 0;

  /** @param bytes Values and nothing else. */
  constructor(private readonly bytes: Uint8Array) {}

  /** Whether all were read. */
  get done(): boolean {
    return this.#at === this.bytes.length;
  }

  /** The next one's tag, or `undefined` at the end. */
  get tag(): number | undefined {
    return this.bytes[this.#at];
  }

  /**
   * Reads the next value.
   * @param tag What it has to be; without it, anything.
   * @throws {DerError} If it is something else, or its length has a shorter spelling or passes the end.
   */
  read(tag?: number): DerValue {
    const start = this.#at;
    const found = this.bytes[start];
    const first = this.bytes[start + 1];
    if (found === undefined || first === undefined) throw new DerError("A value is cut off");
    if (tag !== undefined && found !== tag) {
      throw new DerError(`Tag 0x${found.toString(16)} instead of 0x${tag.toString(16)}`);
    }
    if ((found & 0x1f) === 0x1f) throw new DerError("A tag of several bytes");
    let at = start + 2;
    let length = first;
    if (first >= 0x80) {
      const count = first & 0x7f;
      if (count === 0 || count > 4) throw new DerError(`A length of ${count} bytes`);
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + (this.bytes[at++] ?? 0);
      if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw new DerError("A padded length");
    }
    const end = at + length;
    if (end > this.bytes.length) throw new DerError("A value passes the end");
    this.#at = end;
    return {
      tag: found,
      bytes: this.bytes.subarray(at, end),
      whole: this.bytes.subarray(start, end),
    };
  }

  /** Reads the next value if it is of that kind. */
  optional(tag: number): DerValue | undefined {
    return this.tag === tag ? this.read(tag) : undefined;
  }

  /** Reads a value that consists of values. */
  enter(tag: number): DerReader {
    return new DerReader(this.read(tag).bytes);
  }

  /** @throws {DerError} If there is more. */
  end(): void {
    if (!this.done) throw new DerError("Something follows the last value");
  }
}

/** An object identifier as its numbers with dots. */
export function oidText(bytes: Uint8Array): string {
  const arcs: bigint[] = [];
  let value = 0n;
  bytes.forEach((byte, i) => {
    value = value << 7n | BigInt(byte & 0x7f);
    if (byte & 0x80) {
      if (i === bytes.length - 1) throw new DerError("An object identifier is cut off");
      return;
    }
    arcs.push(value);
    value = 0n;
  });
  const first = arcs.shift();
  if (first === undefined) throw new DerError("An empty object identifier");
  const root = first < 80n ? first / 40n : 2n;
  return [root, first - root * 40n, ...arcs].join(".");
}
