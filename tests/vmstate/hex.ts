/**
 * What every test of this room does: a state to bytes and back, with the bytes as text one can read.
 *
 * @module
 */
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { loadState } from "../../src/vmstate/load_state.ts";
import { saveState } from "../../src/vmstate/save_state.ts";
import type { VMStateFor } from "../../src/vmstate/vmstate.ts";
import type { VmsdJson } from "../../src/vmstate/vmsd_json.ts";

/** Bytes as hex digits. */
export function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Hex digits, with blanks between them where that helps, as bytes. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replaceAll(/\s/g, ""));
}

/** What a state looks like on the wire. */
export function saved<S extends object>(description: VMStateFor<S>, state: NoInfer<S>): string {
  return hex(savedBytes(description, state));
}

/** What a state looks like on the wire. */
export function savedBytes<S extends object>(
  description: VMStateFor<S>,
  state: NoInfer<S>,
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(4);
  saveState(writer, description, state);
  return writer.take();
}

/** What the JSON description says of a state. */
export function described<S extends object>(
  description: VMStateFor<S>,
  state: NoInfer<S>,
): VmsdJson {
  return saveState(new ByteWriter(4), description, state);
}

/** Loads hex digits into a state; all of them have to be consumed. */
export async function load<S extends object>(
  description: VMStateFor<S>,
  text: string,
  state: NoInfer<S>,
  version: number = description.version,
): Promise<S> {
  const reader = ByteReader.of(fromHex(text));
  await loadState(reader, description, state, version);
  if (!await reader.atEnd()) throw new Error(`Loading left bytes from ${reader.position} on`);
  return state;
}
