import { assertEquals } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { Machine } from "../../src/machine/machine.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { BLOCKS, join, MACHINE, PAGE, streamParts } from "./stream_parts.ts";

Deno.test("The parts of the hostile streams are what a source sends", async () => {
  const ram = Object.fromEntries(BLOCKS.map(({ name, length }) => [name, length]));
  await using machine = await Machine.create({ name: MACHINE, ram, vcpus: ["beat"] });
  machine.ram.block("high")!.view(0, 4096).set(PAGE);
  const path = await Deno.makeTempFile();
  const outgoing = new OutgoingMigration(new MachineSource(machine), {
    uri: parseUri(`file:${path}`),
    ...settings(),
  });
  await outgoing.completed;
  const sent = await Deno.readFile(path);
  await Deno.remove(path);
  // A file has no return path, and nobody to ask.
  const parts = new Map(streamParts());
  for (const name of ["open return path", "ping", "ping loaded"]) parts.delete(name);
  const expected = join(parts);
  assertEquals(sent.length, expected.length);
  assertEquals(sent.findIndex((byte, i) => byte !== expected[i]), -1);
});
