/**
 * Reading a packet's header with all checks (wire-format §6.2; QEMU `migration/multifd.c`,
 * `multifd_recv_unfill_packet`).
 *
 * QEMU 7.2 leaves garbage where 10.0 writes zeros: in a packet without pages neither the block's name nor
 * the payload's length mean anything, and offsets past the counts never do.
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { decodeText } from "../wire/byte_reader.ts";
import { describeMethod, METHOD_FLAGS, type MultifdMethod } from "./method.ts";
import { checkMagic, Header, PacketFlag, packetPages, PAYLOAD_MAX } from "./packet.ts";

/** What a header says, all of it checked but the offsets. */
export interface PacketHeader {
  readonly sync: boolean;
  /** `undefined` if the packet has no pages. */
  readonly block: RamBlock | undefined;
  readonly normalPages: number;
  readonly zeroPages: number;
  /** Bytes behind the header. */
  readonly payload: number;
}

/** Reads the headers of one channel. */
export class PacketHeaderReader {
  readonly #pagesMax: number;
  readonly #methodFlags: number;
  /** The block named last and its name's bytes: most packets name it again. */
  #block: RamBlock | undefined;
  #name = new Uint8Array(0);

  /**
   * @param ram The blocks that packets may name.
   * @param method How payloads must be compressed.
   */
  constructor(private readonly ram: GuestRam, private readonly method: MultifdMethod) {
    this.#pagesMax = packetPages(ram.pageSize);
    this.#methodFlags = METHOD_FLAGS[method];
  }

  /**
   * Reads one header.
   * @param bytes Where it lies.
   * @param view The same memory.
   * @param at Where it begins.
   * @throws {StreamFormatError} If it is not what QEMU's format allows.
   * @throws {IncompatibleError} If it names a block that this machine does not have, or another method.
   */
  read(bytes: Uint8Array, view: DataView<ArrayBufferLike>, at: number): PacketHeader {
    const number = (member: number) => view.getUint32(at + member);
    checkMagic(number(Header.MAGIC), number(Header.VERSION), "packet");
    const flags = number(Header.FLAGS);
    if (flags & ~(PacketFlag.SYNC | PacketFlag.METHOD)) refuseFlags(flags);
    const sync = (flags & PacketFlag.SYNC) !== 0;
    const allocated = number(Header.PAGES_ALLOCATED);
    const normalPages = number(Header.NORMAL_PAGES);
    const zeroPages = number(Header.ZERO_PAGES);
    if (allocated > this.#pagesMax) {
      refuse(`A multifd packet for ${allocated} pages: at most ${this.#pagesMax} are possible`);
    }
    if (normalPages > allocated || zeroPages > allocated - normalPages) {
      refuse(
        `A multifd packet of ${normalPages} pages and ${zeroPages} zero pages has room for ${allocated}`,
      );
    }
    if (normalPages + zeroPages === 0) {
      return { sync, block: undefined, normalPages, zeroPages, payload: 0 };
    }
    const payload = normalPages === 0 ? 0 : number(Header.PAYLOAD_BYTES);
    if (normalPages > 0) this.#checkPayload(flags & PacketFlag.METHOD, normalPages, payload);
    const block = this.#blockNamed(bytes, at + Header.NAME);
    return { sync, block, normalPages, zeroPages, payload };
  }

  #checkPayload(methodFlags: number, pages: number, payload: number): void {
    if (methodFlags !== this.#methodFlags) {
      throw new IncompatibleError(
        `A multifd packet compressed with ${
          describeMethod(methodFlags)
        }: this side expects ${this.method}`,
        { advice: "Give both sides the same multifd-compression." },
      );
    }
    const content = pages * this.ram.pageSize;
    if (this.method === "none" ? payload !== content : payload === 0 || payload > PAYLOAD_MAX) {
      refuse(`A multifd packet of ${pages} pages with a payload of ${payload} bytes`);
    }
  }

  #blockNamed(bytes: Uint8Array, at: number): RamBlock {
    if (this.#block && isAt(this.#name, bytes, at)) return this.#block;
    const field = bytes.slice(at, at + Header.NAME_BYTES);
    const length = field.indexOf(0);
    if (length < 0) refuse("A multifd packet with a block name that does not end");
    const name = decodeText(field.subarray(0, length), "A RAM block's name", Header.NAME);
    const block = this.ram.block(name);
    if (!block) {
      throw new IncompatibleError(
        `A multifd packet of RAM block "${name}", which this machine does not have`,
        { advice: "Start the destination with the machine and devices of the source." },
      );
    }
    this.#block = block;
    this.#name = field.slice(0, length + 1);
    return block;
  }
}

/** Whether a name, with the NUL at its end, stands at a place. */
function isAt(name: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false;
  return true;
}

function refuseFlags(flags: number): never {
  if (flags & PacketFlag.DEVICE_STATE) {
    throw new IncompatibleError("A multifd packet with device state, which no device here takes");
  }
  throw new StreamFormatError(`A multifd packet with unknown flags 0x${flags.toString(16)}`);
}

function refuse(why: string): never {
  throw new StreamFormatError(why);
}
