/**
 * Prints what the host's addresses of RAM are in this process, which may have no FFI.
 *
 * @module
 */
import { hostRanges } from "../../src/dirty/host_range.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const ranges = hostRanges(GuestRam.create([{ name: "ram", length: 65536 }]));
await Deno.stdout.write(new TextEncoder().encode(String(ranges)));
