/**
 * Prints, a line each, what is chosen in this process for a guest that marks its writes, for one that
 * does not, and what is said to who wants the kernel's log.
 *
 * @module
 */
import { chooseDirtyLog } from "../../src/dirty/choose.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const ram = GuestRam.create([{ name: "ram", length: 65536 }]);
const lines: string[] = [];
for (const barrierCapable of [true, false]) {
  lines.push(chooseDirtyLog(ram, { barrierCapable }).description);
}
try {
  lines.push(chooseDirtyLog(ram, { wanted: "kernel", barrierCapable: true }).description);
} catch (error) {
  lines.push(String(error));
}
await Deno.stdout.write(new TextEncoder().encode(lines.join("\n")));
