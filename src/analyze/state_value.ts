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
