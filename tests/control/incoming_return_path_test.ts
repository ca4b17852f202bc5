import { assertEquals, assertRejects } from "@std/assert";
import { DirectReturnPath } from "../../src/control/incoming_return_path.ts";
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
