/**
 * Prints what comes of starting a hash log twice and using it, in a process that may not read.
 *
 * @module
 */
import { HashLog } from "../../src/dirty/hash_log.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const log = new HashLog(GuestRam.create([{ name: "ram", length: 4096 }]));
const lines: string[] = [];
for (const attempt of [() => log.start(), () => log.start(), () => log.sync()]) {
  await attempt().catch((error) => lines.push(String(error).split("\n")[0]!));
}
await Deno.stdout.write(new TextEncoder().encode(lines.join("\n")));
