import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DirectReturnPath, IncomingReturnPath } from "../../src/control/incoming_return_path.ts";
import { StreamFormatError } from "../../src/errors.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { connectedSpecs } from "../ram/fixtures/channels.ts";

Deno.test("DirectReturnPath sends messages until it is closed", async () => {
  const { from, to } = await connectedSpecs();
  const source = openChannel(to);
  await using path = new DirectReturnPath(from);
  await path.send({ type: "PONG", value: 7 });
  const bytes = new Uint8Array(16);
  assertEquals(await source.read(bytes), 8);
  assertEquals(bytes.subarray(0, 8), Uint8Array.of(0, 2, 0, 4, 0, 0, 0, 7));
  await path.shutdown();
  assertEquals(await source.read(bytes), 0);
  path.close();
  await assertRejects(() => path.send({ type: "SWITCHOVER_ACK" }), Error);
  source.close();
});

Deno.test("IncomingReturnPath tells a source how it ended, once, and only if it wants to hear", async () => {
  for (const open of [false, true]) {
    const { from, to } = await connectedSpecs();
    const source = openChannel(to);
    await using path = new IncomingReturnPath(new DirectReturnPath(from));
    if (open) path.open();
    assertEquals(path.isOpen, open);
    await path.sayFarewell(1);
    await path.sayFarewell(0);
    await path[Symbol.asyncDispose]();
    const bytes = new Uint8Array(32);
    const count = await source.read(bytes);
    assertEquals(bytes.subarray(0, count).toHex(), open ? "0001000400000001" : "");
    source.close();
  }
});

Deno.test("IncomingReturnPath: a source that is gone does not keep the end from coming", async () => {
  const { from, to } = await connectedSpecs();
  await using path = new IncomingReturnPath(new DirectReturnPath(from));
  path.open();
  openChannel(to).close();
  await path.sayFarewell(0);
  await path.sayFarewell(0);
});

Deno.test("IncomingReturnPath without a writer cannot be opened", () => {
  const path = new IncomingReturnPath(undefined);
  assertThrows(() => path.open(), StreamFormatError, "one-way connection");
});
