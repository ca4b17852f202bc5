import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import net from "node:net";
import {
  acceptChannels,
  CHANNELS_TIMEOUT_MS,
  type ExpectedChannels,
  type IncomingChannels,
} from "../../src/control/incoming_channels.ts";
import {
  CancelledError,
  ConnectionLostError,
  IncompatibleError,
  StateError,
  StreamFormatError,
} from "../../src/errors.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { listen } from "../../src/transport/listen.ts";
import type { Listener } from "../../src/transport/listener.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import type { SocketOptions } from "../../src/transport/options.ts";
import { formatUri, type MigrationUri, parseUri } from "../../src/transport/uri.ts";
import { introduction } from "../multifd/fixtures/packets.ts";
import { EventLog, withPatience } from "../support/event_log.ts";
import { closeQuietly, connectTo, writeAll } from "../support/sockets.ts";

const MAIN = Uint8Array.of(0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3);
const UUID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

/** A destination that waits for channels, and visitors that come. */
async function setUp(expected: Partial<ExpectedChannels> = {}, options: SocketOptions = {}) {
  const listener = await listen(parseUri("tcp:127.0.0.1:0"), options);
  const watched = watchedOf(listener);
  const abort = new AbortController();
  const result = acceptChannels(listener, { multifd: 2, signal: abort.signal, ...expected });
  result.catch(() => {});
  const visitors: Deno.Conn[] = [];
  return {
    ...{ listener, abort, watched },
    /** Waits for the channels or for the failure. */
    result: () => withPatience(result, "the channels"),
    async visit(bytes: Uint8Array = new Uint8Array(0)): Promise<Deno.Conn> {
      const visitor = await connectTo(formatUri(listener.uri));
      visitors.push(visitor);
      await writeAll(visitor, bytes);
      return visitor;
    },
    async [Symbol.asyncDispose]() {
      abort.abort();
      const channels = await result.catch(() => undefined);
      await closeAll(channels);
      visitors.forEach(closeQuietly);
      await listener.close();
    },
  };
}

/** The endpoints of a listener that are looked at for their end: they have introduced themselves. */
function watchedOf(listener: Listener): EventLog<Endpoint> {
  const watched = new EventLog<Endpoint>();
  const accept = listener.accept.bind(listener);
  listener.accept = async (options) => {
    const endpoint = await accept(options);
    if (!endpoint) return undefined;
    const watchEnd = endpoint.watchEnd.bind(endpoint);
    endpoint.watchEnd = (onEnd) => {
      watchEnd(onEnd);
      watched.push(endpoint);
    };
    return endpoint;
  };
  return watched;
}

/** Connects with what can be reset, and writes. */
async function open(uri: MigrationUri, bytes: Uint8Array): Promise<net.Socket> {
  assert(uri.kind === "tcp");
  const socket = net.connect(uri.port, uri.host);
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
  return socket;
}

async function closeAll(channels: IncomingChannels | undefined): Promise<void> {
  if (!channels) return;
  for (const endpoint of [channels.main, ...channels.multifd]) await endpoint.close();
}

/** Waits until the other side has closed the connection. */
async function isClosed(visitor: Deno.Conn): Promise<void> {
  const read = visitor.read(new Uint8Array(1)).catch(() => null);
  assertEquals(await withPatience(read, "the connection's end"), null);
}

/** Whose end of a connection an endpoint is: what it delivers first. */
async function firstByteBehind(endpoint: Endpoint, head: number): Promise<number> {
  const channel = openChannel(endpoint.handOff());
  const bytes = new Uint8Array(head + 1);
  for (let at = 0; at < bytes.length;) at += await channel.read(bytes.subarray(at));
  channel.close();
  return bytes[head]!;
}

Deno.test("acceptChannels() without multifd takes the first connection", async () => {
  await using set = await setUp({ multifd: 0 });
  await set.visit();
  const { main, multifd } = await set.result();
  assertEquals(multifd, []);
  assert(main.peer.includes("127.0.0.1"));
});

const ORDERS = [["main", 0, 1], [1, 0, "main"], [0, "main", 1]] as const;
for (const order of ORDERS) {
  Deno.test(`acceptChannels() tells channels apart that come in the order ${order.join(", ")}`, async () => {
    await using set = await setUp();
    for (const [i, which] of order.entries()) {
      const visitor = await set.visit(which === "main" ? MAIN : introduction(which));
      await writeAll(visitor, Uint8Array.of(i));
    }
    const { main, multifd } = await set.result();
    assertEquals(await firstByteBehind(main, MAIN.length), order.indexOf("main" as never));
    for (const [channel, endpoint] of multifd.entries()) {
      assertEquals(await firstByteBehind(endpoint, 64), order.indexOf(channel as never));
    }
  });
}

Deno.test("acceptChannels() takes an introduction that comes in pieces", async () => {
  await using set = await setUp({ multifd: 1 });
  await set.visit(MAIN);
  const bytes = introduction(0);
  const visitor = await set.visit(bytes.subarray(0, 3));
  for (let at = 3; at < 64; at += 7) await writeAll(visitor, bytes.subarray(at, at + 7));
  assertEquals((await set.result()).multifd.length, 1);
});

Deno.test("acceptChannels() drops strangers, and goes on waiting", async () => {
  await using set = await setUp();
  const strangers = [
    await set.visit(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")),
    await set.visit(Uint8Array.of(0, 0, 0, 0)),
  ];
  for (const stranger of strangers) await isClosed(stranger);
  (await set.visit(Uint8Array.of(0x11))).close();
  (await set.visit(introduction(0).subarray(0, 63))).close();
  await set.visit(MAIN);
  const second = await set.visit(MAIN);
  await isClosed(second);
  const silent = await set.visit();
  await set.visit(introduction(0));
  await set.visit(introduction(1));
  assertEquals((await set.result()).multifd.length, 2);
  await isClosed(silent);
});

Deno.test("acceptChannels() names the channels that never arrive", async () => {
  await using set = await setUp({ multifd: 4, timeoutMs: 100 });
  const main = await set.visit(MAIN);
  const second = await set.visit(introduction(2));
  const error = await assertRejects(() => set.result(), ConnectionLostError);
  assertEquals(error.place.channel, "multifd 0, multifd 1, multifd 3");
  assert(error.message.includes("2 of 5 channels within 100 ms"), error.message);
  assert(error.advice?.includes("multifd-channels"));
  await isClosed(main);
  await isClosed(second);
});

Deno.test("acceptChannels() names the main channel when that is missing", async () => {
  await using set = await setUp({ multifd: 1, timeoutMs: 100 });
  await set.visit(introduction(0));
  const error = await assertRejects(() => set.result(), ConnectionLostError);
  assertEquals(error.place.channel, "main");
});

/** Longer than a test may take: nothing here waits for that. */
const FOR_EVER = 1e6;

/** What a source has sent, and which channel is said to be lost before which others had come. */
const LOST = [
  ["the main channel alone", [MAIN], "main", "multifd 0, multifd 1"],
  [
    "the main channel with more",
    [new Uint8Array([...MAIN, 7, 0, 0])],
    "main",
    "multifd 0, multifd 1",
  ],
  ["one of two multifd channels", [introduction(1)], "multifd 1", "main, multifd 0"],
  ["all but one", [introduction(0), MAIN], undefined, "multifd 1"],
] as const;
for (const handOff of ["descriptor", "bridge"] as const) {
  for (const [what, channels, lost, missing] of LOST) {
    for (const how of ["ends", "resets"] as const) {
      Deno.test(`acceptChannels() fails at once when a source ${how} that opened ${what} (${handOff})`, async () => {
        await using set = await setUp({ timeoutMs: FOR_EVER }, { handOff });
        const sockets = [];
        for (const bytes of channels) sockets.push(await open(set.listener.uri, bytes));
        const introduced = () => set.watched.entries.length === channels.length;
        await set.watched.wait(introduced, { what: "the introductions" });
        for (const socket of sockets) {
          if (how === "ends") socket.end();
          else socket.resetAndDestroy();
        }
        const error = await assertRejects(() => set.result(), ConnectionLostError);
        assert(error.what.endsWith(`before ${missing} had come`), error.message);
        if (lost === undefined) assert(/^(main|multifd 0)$/.test(error.place.channel!));
        else assertEquals(error.place.channel, lost);
        assert(error.what.includes("127.0.0.1"), "says where from");
      });
    }
  }
}

Deno.test("acceptChannels() waits as long as it takes for the first, and seconds for the others", () => {
  assert(CHANNELS_TIMEOUT_MS >= 5000 && CHANNELS_TIMEOUT_MS <= 15_000);
});

const REFUSED = [
  ["arrives twice", [introduction(1), introduction(1)], "there already", "multifd 1"],
  ["has a number too high", [introduction(2)], "number 2: this side expects 2", "multifd 2"],
  ["has another UUID", [introduction(0), introduction(1, UUID)], "of machine 0102", "multifd 1"],
] as const;
for (const [what, channels, message, channel] of REFUSED) {
  Deno.test(`acceptChannels() fails when a channel ${what}, and closes all`, async () => {
    await using set = await setUp();
    const visitors = [await set.visit(MAIN)];
    for (const bytes of channels) visitors.push(await set.visit(bytes));
    const error = await assertRejects(() => set.result(), IncompatibleError, message);
    // Which of two comes first is not certain: both are of the same channel, or of different ones.
    assert(error.place.channel === channel || what === "has another UUID", error.message);
    assert(error.message.includes("127.0.0.1"), "says where from");
    for (const visitor of visitors) await isClosed(visitor);
  });
}

Deno.test("acceptChannels() takes the machine's UUID alone when it knows it", async () => {
  await using right = await setUp({ multifd: 1, uuid: UUID });
  await right.visit(MAIN);
  await right.visit(introduction(0, UUID));
  assertEquals((await right.result()).multifd.length, 1);
  await using wrong = await setUp({ multifd: 1, uuid: UUID });
  await wrong.visit(MAIN);
  await wrong.visit(introduction(0));
  await assertRejects(() => wrong.result(), IncompatibleError, "this one is 0102030405");
});

Deno.test("acceptChannels() refuses an introduction of another version", async () => {
  await using set = await setUp();
  await set.visit(introduction(0).with(7, 2) as Uint8Array);
  const error = await assertRejects(() => set.result(), StreamFormatError, "version 2");
  assertEquals(error.place.channel, "multifd");
});

Deno.test("acceptChannels() ends when it is cancelled or the listener is closed", async () => {
  await using cancelled = await setUp();
  const visitor = await cancelled.visit(MAIN);
  cancelled.abort.abort();
  await assertRejects(() => cancelled.result(), CancelledError);
  await isClosed(visitor);
  for (const multifd of [0, 2]) {
    await using closed = await setUp({ multifd });
    await closed.listener.close();
    await assertRejects(() => closed.result(), StateError, "listener was closed");
  }
});

Deno.test("acceptChannels() loses nothing of a source that is quick", async () => {
  await using set = await setUp({ multifd: 255 });
  const visitors: Promise<Deno.Conn>[] = [];
  for (let channel = 254; channel >= 0; channel--) visitors.push(set.visit(introduction(channel)));
  visitors.push(set.visit(MAIN));
  await Promise.all(visitors);
  const { main, multifd } = await set.result();
  assertEquals(multifd.length, 255);
  assertStrictEquals(multifd.includes(main), false);
});
