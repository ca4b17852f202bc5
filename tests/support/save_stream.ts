/**
 * A machine's whole stream in memory: what QEMU would have written to a file.
 *
 * QEMU's own ways to a file say "completed" before a shell has written everything, and 7.2 has no `file:`;
 * a socket that is read to its end has neither trouble.
 *
 * @module
 */
import { toBytes } from "@std/streams";
import { withPatience } from "./event_log.ts";
import type { Qemu } from "./qemu.ts";

/**
 * Migrates a QEMU to nobody and keeps what it sends; `return-path` must be off.
 * @param qemu The source.
 * @param dir A folder for the socket.
 * @returns The stream.
 */
export async function saveStream(qemu: Qemu, dir: string): Promise<Uint8Array<ArrayBuffer>> {
  const path = `${dir}/save-${crypto.randomUUID().slice(0, 8)}`;
  using listener = Deno.listen({ transport: "unix", path });
  const receiving = listener.accept().then((connection) => toBytes(connection.readable));
  receiving.catch(() => {}); // closing the listener ends it when the migration fails
  await qemu.migrateAndWait(`unix:${path}`);
  return await withPatience(receiving, `the end of the stream of ${qemu.name}`);
}
