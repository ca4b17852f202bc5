/**
 * The JSON description that follows the end of a precopy stream (wire-format §1.6 and §1.7; QEMU
 * `migration/savevm.c`, `qemu_savevm_state_complete_precopy_non_iterable`).
 *
 * @module
 */
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { ElementType } from "./section.ts";

/** The largest description that is read: the largest seen of a QEMU is under 1 MiB. In bytes. */
export const VM_DESCRIPTION_MAX = 64 * 1024 * 1024;

/** Writes the description. @param json UTF-8 text, without a terminator. */
export function writeVmDescription(writer: ByteWriter, json: Uint8Array): void {
  writer.u8(ElementType.VMDESCRIPTION).be32(json.length).bytes(json);
}

/**
 * Reads the description if the stream goes on with one.
 * @returns Its bytes, or `undefined` if the stream ends or goes on with something else: QEMU only warns
 * about that, because the machine is complete without it.
 * @throws {StreamFormatError} If it is larger than {@linkcode VM_DESCRIPTION_MAX}.
 */
export async function readVmDescription(
  reader: ByteReader,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (await reader.peekU8() !== ElementType.VMDESCRIPTION) return undefined;
  await reader.u8("the description");
  const length = await reader.be32("the description's length");
  return await reader.bytes(length, VM_DESCRIPTION_MAX, "the description");
}
