/**
 * Device state as the description divides it.
 *
 * @module
 */

/** An integer; how it is printed depends on its width. */
export class StateInteger {
  /**
   * @param value Its value.
   * @param size Bytes it takes in the stream.
   */
  constructor(readonly value: bigint, readonly size: number) {}

  /**
   * As QEMU's script writes it: hexadecimal, as wide as it is in the stream, and with its value if that is
   * negative.
   */
  get text(): string {
    const { value, size } = this;
    const digits = BigInt.asUintN(8 * size, value).toString(16).padStart(2 * size, "0");
    return value < 0n ? `0x${digits} (${value})` : `0x${digits}`;
  }
}

/** Fields and subsections by their names, in the order of the stream. */
export type StateStruct = Map<string, StateValue>;

/** What a field holds: bytes where nobody knows more; `null` is a pointer to nothing. */
export type StateValue =
  | Uint8Array
  | StateInteger
  | boolean
  | null
  | string
  | StateStruct
  | StateValue[];
