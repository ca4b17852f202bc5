import { assertEquals } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { PacketReader } from "../../src/multifd/packet_reader.ts";
import { rehearseReceiving, rehearseSending } from "../../src/multifd/rehearsal.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";

Deno.test("rehearseSending() makes packets like those of a migration: full, and with content", async () => {
  const packet = await rehearseSending();
  assertEquals(packet.length, 1344 + 128 * 4096);
  const ram = GuestRam.create([{ name: "rehearsal", length: 128 * 4096 }]);
  const reader = new PacketReader(new MemoryChannel([packet]), ram, { method: "none" });
  assertEquals([await reader.read(), await reader.read()], [false, undefined]);
  assertEquals(reader.normalPages, 128);
});

Deno.test("rehearseReceiving() takes all of them and ends", async () => {
  await rehearseReceiving();
});
