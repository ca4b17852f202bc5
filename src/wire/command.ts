/**
 * The commands inside the stream (wire-format §2; QEMU `migration/savevm.c`, `mig_cmd_args` and
 * `loadvm_process_command`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";
import { ElementType } from "./section.ts";

/** A command's number. */
export const Command = {
  INVALID: 0,
  OPEN_RETURN_PATH: 1,
  PING: 2,
  POSTCOPY_ADVISE: 3,
  POSTCOPY_LISTEN: 4,
  POSTCOPY_RUN: 5,
  POSTCOPY_RAM_DISCARD: 6,
  PACKAGED: 7,
  ENABLE_COLO: 8,
  POSTCOPY_RESUME: 9,
  RECV_BITMAP: 10,
  SWITCHOVER_START: 11,
} as const;
/** One of the {@linkcode Command} numbers. */
export type Command = typeof Command[keyof typeof Command];

/** What {@linkcode readCommand} returns: the number and a reader of exactly its payload. */
export interface ReceivedCommand {
  readonly command: Command;
  /** The payload's length in bytes. */
  readonly length: number;
  readonly payload: ByteReader;
}

/** Payload lengths; `undefined` where the length varies. */
const LENGTHS: readonly (number | undefined)[] = [
  undefined, // INVALID
  0, // OPEN_RETURN_PATH
  4, // PING
  undefined, // POSTCOPY_ADVISE: 0 or 16
  0, // POSTCOPY_LISTEN
  0, // POSTCOPY_RUN
  undefined, // POSTCOPY_RAM_DISCARD
  4, // PACKAGED
  0, // ENABLE_COLO
  0, // POSTCOPY_RESUME
  undefined, // RECV_BITMAP
  0, // SWITCHOVER_START
];

const NAMES = Object.fromEntries(Object.entries(Command).map(([name, number]) => [number, name]));

/** A command's name for messages, such as `PING`. */
export function describeCommand(command: number): string {
  return NAMES[command] ?? `command ${command}`;
}

/** Writes one command. @param payload At most 65535 bytes. */
export function writeCommand(
  writer: ByteWriter,
  command: Command,
  payload: Uint8Array = new Uint8Array(0),
): void {
  if (payload.length > 0xffff) {
    throw new RangeError(`${describeCommand(command)} payload of ${payload.length} bytes`);
  }
  writer.u8(ElementType.COMMAND).be16(command).be16(payload.length).bytes(payload);
}

/** Writes PING, which the destination answers with PONG of the same value. */
export function writePing(writer: ByteWriter, value: number): void {
  writeCommand(writer, Command.PING, new ByteWriter(4).be32(value).take());
}

/**
 * Reads what follows the type byte of a command.
 * @throws {StreamFormatError} If the number is unknown or the length is not that command's.
 */
export async function readCommand(reader: ByteReader): Promise<ReceivedCommand> {
  const offset = reader.position - 1;
  const command = await reader.be16("a command");
  const length = await reader.be16("a command's length");
  if (command === Command.INVALID || command >= LENGTHS.length) {
    throw new StreamFormatError(`Unknown command ${command} of ${length} bytes`, {
      place: { offset },
    });
  }
  const expected = LENGTHS[command];
  if (expected !== undefined && length !== expected) {
    throw new StreamFormatError(
      `${describeCommand(command)} with ${length} bytes, not ${expected}`,
      { place: { offset } },
    );
  }
  const payload = await reader.bytes(length, 0xffff, `the payload of ${describeCommand(command)}`);
  return { command: command as Command, length, payload: ByteReader.of(payload, offset + 5) };
}
