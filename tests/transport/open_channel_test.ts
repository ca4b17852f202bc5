import { assert, assertEquals } from "@std/assert";
import { closeSpec, openChannel } from "../../src/transport/open_channel.ts";
import { connectedEndpoints, keepEventLoop, readAll, temporaryDirectory } from "./connected.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { pattern, patternMismatch } from "./pattern.ts";
import { RemoteChannel } from "./remote_channel.ts";

for (const handOff of ["descriptor", "bridge"] as const) {
  Deno.test(`openChannel() in a worker carries megabytes both ways (${handOff})`, async () => {
    const [ours, peers] = await connectedEndpoints({ handOff });
    await using first = await RemoteChannel.open(ours.handOff());
    await using second = await RemoteChannel.open(peers.handOff());
    const count = 6 << 20;
    const reads = [first, second].map((remote) => remote.ask({ do: "read", count: Infinity }));
    await Promise.all([first, second].map(async (remote) => {
      await remote.ask({ do: "write", from: 0, count });
      await remote.ask({ do: "shutdown" });
    }));
    for (const read of await Promise.all(reads)) {
      assertEquals([read.count, read.mismatch], [count, -1]);
    }
  });

  Deno.test(`a worker whose peer stalls can be told to close (${handOff})`, async () => {
    const [ours, peers] = await connectedEndpoints({ handOff });
    const peer = openChannel(peers.handOff());
    const remote = await RemoteChannel.open(ours.handOff());
    const stalled = remote.tell({ do: "write for ever" });
    assertEquals(await peer.read(new Uint8Array(1)), 1);
    await remote.ask({ do: "close" });
    assertEquals((await stalled).error?.name, "ConnectionLostError");
    await remote[Symbol.asyncDispose]();
    peer.close();
  });

  Deno.test(`a worker whose peer is faster hears the message that stops it (${handOff})`, async () => {
    const [ours, peers] = await connectedEndpoints({ handOff });
    const peer = openChannel(peers.handOff());
    const remote = await RemoteChannel.open(ours.handOff());
    const writing = remote.tell({ do: "write for ever" });
    const into = new Uint8Array(4 << 20);
    let told: Promise<unknown> | undefined;
    for (let total = 0; await peer.read(into).catch(() => 0);) {
      if ((total += into.length) > 64 << 20) told ??= remote.tell({ do: "close" });
    }
    await told;
    assertEquals((await writing).error?.name, "ConnectionLostError");
    await remote[Symbol.asyncDispose]();
    peer.close();
  });

  Deno.test(`closeSpec() ends a connection that nobody opened (${handOff})`, async () => {
    using _ = keepEventLoop();
    const [ours, peers] = await connectedEndpoints({ handOff });
    const peer = openChannel(peers.handOff());
    closeSpec(ours.handOff());
    assertEquals(await peer.read(new Uint8Array(1)), 0);
    peer.close();
  });
}

Deno.test("openChannel() opens a file in any number of threads", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  Deno.writeFileSync(path, pattern(3 << 20));
  const spec = fileSpec(path, 0, "read");
  const remotes = await Promise.all([RemoteChannel.open(spec), RemoteChannel.open(spec)]);
  for (const remote of remotes) {
    const { count, mismatch } = await remote.ask({ do: "read", count: Infinity });
    assertEquals([count, mismatch], [3 << 20, -1]);
    await remote[Symbol.asyncDispose]();
  }
  closeSpec(spec);
});

Deno.test("a hundred hand-offs with bytes in flight lose none, and leave no descriptor open", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", new URL("./many_hand_offs.ts", import.meta.url).href],
  }).output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stderr));
  assertEquals(JSON.parse(text.decode(stdout)), { checked: 100, open: 0 });
});

Deno.test("readAll() of the tests gives a stream's bytes", async () => {
  const [ours, peers] = await connectedEndpoints();
  const writer = openChannel(ours.handOff());
  const reader = openChannel(peers.handOff());
  await writer.write(pattern(70_000));
  await writer.shutdown();
  assert(patternMismatch(await readAll(reader)) === -1);
  writer.close();
  reader.close();
});
