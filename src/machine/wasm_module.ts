/**
 * Takes a WebAssembly module apart as far as Ferry must: what a module would lose when it moves, and a
 * copy of it that leaves RAM alone when it is instantiated.
 *
 * Instantiating a module writes its data segments to memory and runs its start function. A guest that
 * goes on from a saved state finds in RAM what it left there, and both would put it back to the
 * beginning.
 *
 * @module
 */
import { GuestError } from "../errors.ts";

const HEADER_BYTES = 8;
const SECTION = { memory: 5, start: 8, data: 11 } as const;
/** Kinds of data segments: written at once, on demand, and at once to a memory that is named. */
const DATA = { active: 0, passive: 1, activeAt: 2 } as const;
const END = 0x0b;

/**
 * A copy of a module that has no start function, and whose data is only written on demand.
 * @param bytes A module that the engine has accepted.
 * @throws {GuestError} If the module has a memory of its own, which would not travel, or addresses its
 * data with an expression that is not understood.
 */
export function withoutInitializers(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const out: Uint8Array[] = [bytes.subarray(0, HEADER_BYTES)];
  const input = new Cursor(bytes, HEADER_BYTES);
  while (input.at < bytes.length) {
    const id = input.byte();
    const body = input.take(input.unsigned());
    if (id === SECTION.start) continue;
    if (id === SECTION.memory && new Cursor(body).unsigned() > 0) {
      throw new GuestError("The guest's module has a memory of its own, which does not travel", {
        advice: "Let it import env.memory, and nothing else that holds state",
      });
    }
    const kept = id === SECTION.data ? passiveData(body) : body;
    out.push(Uint8Array.of(id), encodeUnsigned(kept.length), kept);
  }
  return joined(out);
}

function passiveData(body: Uint8Array): Uint8Array {
  const input = new Cursor(body);
  const count = input.unsigned();
  const out = [encodeUnsigned(count)];
  for (let i = 0; i < count; i++) {
    const kind = input.unsigned();
    if (kind === DATA.activeAt) input.unsigned();
    if (kind !== DATA.passive) skipConstant(input);
    const data = input.take(input.unsigned());
    out.push(Uint8Array.of(DATA.passive), encodeUnsigned(data.length), data);
  }
  return joined(out);
}

/** Constant expressions: numbers, imported globals, and sums and products of them. */
function skipConstant(input: Cursor): void {
  for (;;) {
    const code = input.byte();
    if (code === END) return;
    const hasOperand = code === 0x41 || code === 0x42 || code === 0x23;
    const isArithmetic = (code >= 0x6a && code <= 0x6c) || (code >= 0x7c && code <= 0x7e);
    if (hasOperand) input.unsigned();
    else if (!isArithmetic) {
      throw new GuestError(`The guest's module addresses data with opcode 0x${code.toString(16)}`);
    }
  }
}

function encodeUnsigned(value: number): Uint8Array {
  const out: number[] = [];
  for (; value > 0x7f; value >>>= 7) out.push(value & 0x7f | 0x80);
  return Uint8Array.of(...out, value);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** Reads a module's bytes. */
class Cursor {
  constructor(private readonly bytes: Uint8Array, public at = 0) {}

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new GuestError("The guest's module ends in the middle");
    return byte;
  }

  /** A LEB128 number below 2^32; of a signed or longer one, only the length is right. */
  unsigned(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  take(length: number): Uint8Array {
    this.at += length;
    if (this.at > this.bytes.length) throw new GuestError("The guest's module ends in the middle");
    return this.bytes.subarray(this.at - length, this.at);
  }
}
