import { assertEquals, assertRejects } from "@std/assert";
import net from "node:net";
import { ConnectionLostError, StateError } from "../../src/errors.ts";
import { ConnChannel } from "../../src/transport/conn_channel.ts";
import { readAll } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

async function connPair(): Promise<[ConnChannel, ConnChannel]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [ours, peers] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  return [new ConnChannel(ours, "the peer"), new ConnChannel(peers, "us")];
}

Deno.test("ConnChannel carries bytes both ways, gathered and with an end on one side", async () => {
  const [ours, peers] = await connPair();
  const whole = pattern(8 << 20);
  const send = async () => {
    await ours.writeGather([whole.subarray(0, 1000), whole.subarray(1000, 1000)]);
    await ours.write(whole.subarray(1000));
    await ours.shutdown();
    await ours.shutdown();
  };
  const [got] = await Promise.all([readAll(peers), send()]);
  assertEquals([got.length, patternMismatch(got)], [whole.length, -1]);
  await assertRejects(() => ours.write(new Uint8Array(1)), StateError, "after its end");
  await peers.write(pattern(3));
  assertEquals(await ours.read(new Uint8Array(9)), 3);
  ours.close();
  peers.close();
});

Deno.test("ConnChannel.close() rejects what is pending although the peer stalls", async () => {
  const [ours, peers] = await connPair();
  const writing = assertRejects(
    () => ours.write(new Uint8Array(64 << 20)),
    ConnectionLostError,
    "Lost the connection to the peer: it was closed on this side",
  );
  const reading = assertRejects(
    () => ours.read(new Uint8Array(1)),
    ConnectionLostError,
    "it was closed on this side",
  );
  await assertRejects(() => ours.read(new Uint8Array(1)), StateError, "while another is pending");
  await assertRejects(() => ours.write(new Uint8Array(1)), StateError, "while another is pending");
  await assertRejects(() => ours.shutdown(), StateError, "while a write is pending");
  ours.close();
  ours.close();
  await Promise.all([writing, reading]);
  peers.close();
});

Deno.test("ConnChannel says that the connection was reset", async () => {
  const server = net.createServer((socket) => {
    socket.once("data", () => socket.resetAndDestroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const ours = new ConnChannel(await Deno.connect({ hostname: "127.0.0.1", port }), "the peer");
  await ours.write(new Uint8Array(1));
  await assertRejects(
    () => ours.read(new Uint8Array(1)),
    ConnectionLostError,
    "Lost the connection to the peer: connection reset by the peer",
  );
  ours.close();
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("ConnChannel.read() refuses an empty target", async () => {
  const [ours, peers] = await connPair();
  await assertRejects(() => ours.read(new Uint8Array(0)), RangeError);
  ours.close();
  peers.close();
});
