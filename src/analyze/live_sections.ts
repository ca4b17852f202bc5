/**
 * Walks over the payloads of live sections other than `ram` that describe their own lengths: `dirty-bitmap`
 * (wire-format §9; QEMU `migration/block-dirty-bitmap.c`), the hash table of POWER guests (`hw/ppc/spapr.c`)
 * and the storage attributes of s390 (`hw/s390x/s390-stattrib.c`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { StreamInput } from "./input.ts";

/** A dirty bitmap of a disk. */
export interface WalkedBitmap {
  /** The disk's alias. */
  readonly node: string;
  /** The bitmap's alias. */
  readonly name: string;
  /** Bytes of disk a bit stands for. */
  readonly granularity: number;
  readonly enabled: boolean;
  readonly persistent: boolean;
  /** Bytes of bits that came for it. */
  bytes: number;
  /** Whether it came to its end. */
  complete: boolean;
}

/** Walks over the payloads of one live section. */
export interface LiveWalk {
  /** Passes over one payload. @throws {StreamFormatError} If it is none. */
  load(input: StreamInput): void;
}

const BitmapFlag = {
  EOS: 0x01,
  ZEROES: 0x02,
  BITMAP_NAME: 0x04,
  DEVICE_NAME: 0x08,
  START: 0x10,
  COMPLETE: 0x20,
  BITS: 0x40,
} as const;
/** The largest piece of a bitmap that QEMU takes, in bytes. */
const BITS_MAX = 10240;
/** Bitmaps that are listed. */
const BITMAPS_MAX = 65_536;

/** The walk over `dirty-bitmap`. */
export class BitmapWalk implements LiveWalk {
  /** What came, in the stream's order. */
  readonly bitmaps: WalkedBitmap[] = [];
  readonly #byName = new Map<string, WalkedBitmap>();
  #node = "";
  #name = "";

  load(input: StreamInput): void {
    for (;;) {
      const offset = input.position;
      const flags = input.u8("a dirty bitmap's flags");
      if (flags & 0x80) refuse(`Dirty bitmap with unknown flags 0x${flags.toString(16)}`, offset);
      if (flags & BitmapFlag.DEVICE_NAME) this.#node = input.countedString("a disk's alias");
      if (flags & BitmapFlag.BITMAP_NAME) this.#name = input.countedString("a bitmap's alias");
      const key = JSON.stringify([this.#node, this.#name]);
      if (flags & BitmapFlag.START) this.#start(input, key, offset);
      else if (flags & BitmapFlag.BITS) this.#bits(input, flags, key, offset);
      else if (flags & BitmapFlag.COMPLETE) this.#of(key, offset).complete = true;
      if (flags & BitmapFlag.EOS) return;
    }
  }

  #start(input: StreamInput, key: string, offset: number): void {
    if (this.bitmaps.length === BITMAPS_MAX) refuse(`More than ${BITMAPS_MAX} bitmaps`, offset);
    const granularity = input.be32("a dirty bitmap's granularity");
    const flags = input.u8("a dirty bitmap's flags");
    const bitmap: WalkedBitmap = {
      ...{ node: this.#node, name: this.#name, granularity },
      ...{ enabled: (flags & 1) !== 0, persistent: (flags & 2) !== 0, bytes: 0, complete: false },
    };
    this.bitmaps.push(bitmap);
    this.#byName.set(key, bitmap);
  }

  #bits(input: StreamInput, flags: number, key: string, offset: number): void {
    const bitmap = this.#of(key, offset);
    input.be64("the first sector of a piece of a bitmap");
    input.be32("the sectors of a piece of a bitmap");
    if (flags & BitmapFlag.ZEROES) return;
    const size = input.size64("the size of a piece of a bitmap");
    if (size > BITS_MAX) refuse(`${size} bytes of a bitmap, more than ${BITS_MAX}`, offset);
    input.skip(size, "a dirty bitmap");
    bitmap.bytes += size;
  }

  #of(key: string, offset: number): WalkedBitmap {
    return this.#byName.get(key) ??
      refuse(
        `Dirty bitmap "${this.#name}" of "${this.#node}" goes on without having begun`,
        offset,
      );
  }
}

/** The walk over `spapr/htab`. */
export class HashTableWalk implements LiveWalk {
  load(input: StreamInput): void {
    // The first payload is the table's size, or that there is none.
    if (input.be32("a hash table's header") > 0) return;
    for (;;) {
      const index = input.be32("a hash table's index");
      const valid = input.be16("a hash table's count");
      const invalid = input.be16("a hash table's count");
      if (index === 0 && valid === 0 && invalid === 0) return;
      input.skip(16 * valid, "a hash table");
    }
  }
}

const AttributeFlag = { EOS: 1, MORE: 2, ERROR: 4, DONE: 8 } as const;

/** The walk over `s390-storage_attributes`. */
export class StorageAttributesWalk implements LiveWalk {
  load(input: StreamInput): void {
    for (let done = false;;) {
      // Nothing has to follow what says that it is done.
      if (done && !isEndOfAttributes(input)) return;
      const offset = input.position;
      const flags = Number(input.be64("storage attributes") & 0xfffn);
      if (flags & AttributeFlag.EOS) return;
      if (flags & AttributeFlag.ERROR) refuse("The source could not read its attributes", offset);
      if (flags & AttributeFlag.DONE) done = true;
      else if (flags & AttributeFlag.MORE) {
        input.skip(input.size64("the count of storage attributes"), "storage attributes");
      } else refuse(`Storage attributes with flags 0x${flags.toString(16)}`, offset);
    }
  }
}

function isEndOfAttributes(input: StreamInput): boolean {
  return input.has(8) && input.view.getBigUint64(input.at) === BigInt(AttributeFlag.EOS);
}

function refuse(why: string, offset: number): never {
  throw new StreamFormatError(why, { place: { offset } });
}
