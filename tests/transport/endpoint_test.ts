import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CancelledError,
  ConnectionLostError,
  StateError,
  TransportError,
} from "../../src/errors.ts";
import { connect } from "../../src/transport/connect.ts";
import { FileConnection } from "../../src/transport/connection.ts";
import { Endpoint } from "../../src/transport/endpoint.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { connectedEndpoints, keepEventLoop, readAll, temporaryDirectory } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

for (const handOff of ["descriptor", "bridge"] as const) {
  Deno.test(`Endpoint.readHead() reads just the head, whatever pieces it arrives in (${handOff})`, async () => {
    using _ = keepEventLoop();
    for (let split = 0; split <= 9; split++) {
      const [ours, peers] = await connectedEndpoints({ handOff });
      const writer = openChannel(ours.handOff());
      await writer.write(pattern(split));
      const head = peers.readHead(8);
      await writer.write(pattern(20 - split, split));
      await writer.shutdown();
      assertEquals(await head, pattern(8));
      assertEquals(await peers.readHead(4), pattern(4), "again, and less");
      assertEquals(await peers.readHead(9), pattern(9), "again, and more");
      const reader = openChannel(peers.handOff());
      assertEquals(await readAll(reader), pattern(20), "the channel has all of it");
      writer.close();
      reader.close();
    }
  });

  Deno.test(`Endpoint.readHead() gives fewer bytes if the stream has no more (${handOff})`, async () => {
    using _ = keepEventLoop();
    const [ours, peers] = await connectedEndpoints({ handOff });
    const writer = openChannel(ours.handOff());
    await writer.write(pattern(3));
    await writer.shutdown();
    assertEquals(await peers.readHead(8), pattern(3));
    const reader = openChannel(peers.handOff());
    assertEquals(await readAll(reader), pattern(3));
    writer.close();
    reader.close();
  });

  Deno.test(`Endpoint.readHead() that is given up closes the connection (${handOff})`, async () => {
    using _ = keepEventLoop();
    for (const how of ["time", "signal"] as const) {
      const [ours, peers] = await connectedEndpoints({ handOff });
      const writer = openChannel(ours.handOff());
      await writer.write(pattern(3));
      if (how === "time") {
        await assertRejects(() => peers.readHead(4, { timeoutMs: 5 }), TransportError, "nothing");
      } else {
        const controller = new AbortController();
        const head = peers.readHead(4, { signal: controller.signal });
        controller.abort();
        await assertRejects(() => head, CancelledError, "was cancelled");
      }
      assertThrows(() => peers.handOff(), StateError, "already closed");
      await readAll(writer).catch((error) => assert(error instanceof ConnectionLostError));
      writer.close();
    }
  });

  Deno.test(`Endpoint.close() ends the connection, before and after the head was read (${handOff})`, async () => {
    using _ = keepEventLoop();
    for (const count of [0, 2]) {
      const [ours, peers] = await connectedEndpoints({ handOff });
      const writer = openChannel(ours.handOff());
      await writer.write(pattern(2));
      assertEquals(await peers.readHead(count), pattern(count));
      await peers.close();
      await peers.close();
      await readAll(writer).catch((error) => assert(error instanceof ConnectionLostError));
      writer.close();
    }
  });

  Deno.test(`Endpoint.handOffHalves() gives the head to the reader (${handOff})`, async () => {
    using _ = keepEventLoop();
    const [ours, peers] = await connectedEndpoints({ handOff });
    const writer = openChannel(ours.handOff());
    await writer.write(pattern(10));
    await writer.shutdown();
    await peers.readHead(4);
    const halves = peers.handOffHalves();
    const reader = openChannel(halves.read);
    const answer = openChannel(halves.write);
    assertEquals(await readAll(reader), pattern(10));
    await answer.write(pattern(5));
    await answer.shutdown();
    reader.close();
    answer.close();
    assertEquals(await readAll(writer), pattern(5));
    writer.close();
  });

  Deno.test(`Endpoint.watchEnd() loses nothing, whenever the watch ends (${handOff})`, async () => {
    using _ = keepEventLoop();
    // The most that is kept is 16 KiB.
    for (const size of [0, 1, 10, 5000, 16_384, 100_000]) {
      for (let turns = 0; turns < 6; turns++) {
        const [ours, peers] = await connectedEndpoints({ handOff });
        const writer = openChannel(ours.handOff());
        await writer.write(pattern(4));
        await peers.readHead(4);
        let ended = 0;
        peers.watchEnd(() => ended++);
        assertThrows(() => peers.handOff(), StateError, "under watch");
        const writing = writer.write(pattern(size, 4));
        for (let turn = 0; turn < turns; turn++) await new Promise((go) => setTimeout(go, 0));
        await peers.endWatch();
        await peers.endWatch();
        peers.watchEnd(() => ended++);
        await peers.endWatch();
        const reader = openChannel(peers.handOff());
        const [bytes] = await Promise.all([
          readAll(reader),
          writing.then(() => writer.shutdown()),
        ]);
        assertEquals(bytes.length, size + 4);
        assertEquals(patternMismatch(bytes), -1);
        assertEquals(ended, 0);
        writer.close();
        reader.close();
      }
    }
  });

  Deno.test(`Endpoint.watchEnd() tells of an end behind other bytes, and of none that is ours (${handOff})`, async () => {
    using _ = keepEventLoop();
    const [ours, peers] = await connectedEndpoints({ handOff });
    const writer = openChannel(ours.handOff());
    const ended = Promise.withResolvers<unknown>();
    peers.watchEnd(ended.resolve);
    await writer.write(pattern(3000));
    await writer.shutdown();
    assertEquals(await ended.promise, undefined);
    await peers.endWatch();
    const reader = openChannel(peers.handOff());
    assertEquals(await readAll(reader), pattern(3000));
    reader.close();
    writer.close();

    const [mine, yours] = await connectedEndpoints({ handOff });
    let told = 0;
    yours.watchEnd(() => told++);
    await yours.close();
    await yours.endWatch();
    await mine.close();
    assertEquals(told, 0);
  });
}

Deno.test("Endpoint cannot be used after it was handed off", async () => {
  const [ours, peers] = await connectedEndpoints();
  assertEquals(ours.direction, "both");
  const channel = openChannel(ours.handOff());
  assertThrows(() => ours.handOff(), StateError, "already handed off");
  assertThrows(() => ours.handOffHalves(), StateError, "already handed off");
  await assertRejects(() => ours.readHead(1), StateError, "already handed off");
  await ours.close();
  await ours.finish();
  await peers.close();
  assertEquals(await channel.read(new Uint8Array(1)), 0, "the channel is the worker's");
  channel.close();
});

Deno.test("Endpoint.close() ends a bridge although its worker does not", async () => {
  using _ = keepEventLoop();
  const [ours, peers] = await connectedEndpoints({ handOff: "bridge" });
  const channel = openChannel(ours.handOff());
  const reading = assertRejects(() => channel.read(new Uint8Array(1)), ConnectionLostError);
  await ours.close();
  await reading;
  channel.close();
  await peers.close();
});

Deno.test("Endpoint of a file begins at the offset again after its head was read", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const written = await connect({ kind: "file", path, offset: 16 });
  assertEquals(written.direction, "write");
  const writer = openChannel(written.handOff());
  await writer.write(pattern(100));
  writer.close();
  const read = new Endpoint(new FileConnection(fileSpec(path, 16, "read")));
  assertEquals(read.direction, "read");
  assertEquals(await read.readHead(8), pattern(8));
  const reader = openChannel(read.handOff());
  assertEquals(await readAll(reader), pattern(100));
  reader.close();
  const again = await connect(parseUri(`file:${path}.other`));
  assertThrows(() => again.handOffHalves(), StateError, "only one direction");
  await again.close();
});

Deno.test("Endpoint.finish() reports how a command failed, and close() ends one that does not end", async () => {
  const failing = await connect(parseUri("exec:cat > /dev/null; exit 3"));
  const channel = openChannel(failing.handOff());
  await channel.write(pattern(100));
  await channel.shutdown();
  await assertRejects(
    () => failing.finish(),
    TransportError,
    "The command exec:cat > /dev/null; exit 3: exit status 3",
  );
  channel.close();
  await failing.close();

  const endless = await connect(parseUri("exec:exec sleep 1000"));
  await assertRejects(
    () => endless.finish({ timeoutMs: 5 }),
    TransportError,
    "nothing within 5 ms",
  );
  await endless.close();
  await assertRejects(() => endless.finish(), TransportError, "ended by SIGTERM");
});
