import { assert, assertEquals, assertThrows } from "@std/assert";
import { StateError } from "../../src/errors.ts";
import { DescriptorConnection, FileConnection } from "../../src/transport/connection.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { closeSpec } from "../../src/transport/open_channel.ts";
import { connectedEndpoints, temporaryDirectory } from "./connected.ts";
import { pattern } from "./pattern.ts";

Deno.test("DescriptorConnection hands its descriptor over untouched if no head was read", async () => {
  const [ours, peers] = await connectedEndpoints();
  const spec = ours.handOff();
  assert(spec.kind === "descriptor");
  const connection = new DescriptorConnection(spec);
  assertEquals(connection.handOff(new Uint8Array(0)), spec);
  assertEquals(connection.handOff(pattern(2)), { ...spec, head: pattern(2) });
  closeSpec(spec);
  await peers.close();
});

Deno.test("DescriptorConnection of a pipe and FileConnection have no halves", async () => {
  const [ours, peers] = await connectedEndpoints();
  const spec = ours.handOff();
  assert(spec.kind === "descriptor");
  const pipe = new DescriptorConnection({ ...spec, direction: "write", transport: "pipe" });
  assertThrows(() => pipe.handOffHalves(new Uint8Array(0)), StateError, "only one direction");
  pipe.close();
  await peers.close();

  using directory = temporaryDirectory();
  const file = new FileConnection(fileSpec(`${directory.path}/image`, 3, "write"));
  assertThrows(() => file.handOffHalves(new Uint8Array(0)), StateError, "only one direction");
  const { kind, offset, mode } = file.handOff(new Uint8Array(0));
  assertEquals([kind, offset, mode], ["file", 3, "write"]);
});
