import { assertEquals } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { PacketReader } from "../../src/multifd/packet_reader.ts";
import { rehearseReceiving, rehearseSending } from "../../src/multifd/rehearsal.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";

Deno.test("rehearseSending() makes packets like those of a migration: full of zero pages, and of content", async () => {
  const packets = await rehearseSending();
  assertEquals(packets.length, 2 * 1344 + 128 * 4096);
  const ram = GuestRam.create([{ name: "rehearsal", length: 256 * 4096 }]);
  const reader = new PacketReader(new MemoryChannel([packets]), ram, { method: "none" });
  for (const expected of [false, false, undefined]) assertEquals(await reader.read(), expected);
  assertEquals([reader.zeroPages, reader.normalPages], [128, 128]);
});

Deno.test("rehearseReceiving() takes all of them and ends", async () => {
  await rehearseReceiving();
});
