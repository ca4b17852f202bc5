import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { concat } from "@std/bytes";
import { closeQuietly, connectTo, listenOn, writeAll } from "./sockets.ts";
import { Tap, type TapOptions } from "./tap.ts";

/** A tap, its two ends, and the folder of their sockets. */
class TappedPair implements AsyncDisposable {
  private constructor(
    readonly tap: Tap,
    readonly client: Deno.Conn,
    readonly server: Deno.Conn,
    private readonly listener: Deno.Listener,
    private readonly dir: string,
  ) {}

  static async open(
    kind: "tcp" | "unix",
    plan: (tap: Tap) => void = () => {},
    options: Partial<TapOptions> = {},
  ): Promise<TappedPair> {
    const dir = await Deno.makeTempDir();
    const { listener, uri } = listenOn(kind === "tcp" ? "tcp:127.0.0.1:0" : `unix:${dir}/end`);
    const tap = new Tap({ to: uri, ...options });
    plan(tap);
    const [server, client] = await Promise.all([listener.accept(), connectTo(tap.uri)]);
    return new TappedPair(tap, client, server, listener, dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tap[Symbol.asyncDispose]();
    [this.client, this.server, this.listener].forEach(closeQuietly);
    await Deno.remove(this.dir, { recursive: true });
  }
}

const numbers = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);

/** Reads exactly `count` bytes. */
async function readExactly(from: Deno.Conn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const got = await from.read(bytes.subarray(at));
    if (got === null) throw new Error(`Ended after ${at} of ${count} bytes`);
    at += got;
  }
  return bytes;
}

/** Reads until the connection ends, closed or reset: which one depends on what was unread when it was lost. */
async function readUntilLost(from: Deno.Conn): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  try {
    for (let count; (count = await from.read(buffer)) !== null;) {
      pieces.push(buffer.slice(0, count));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return concat(pieces);
}

for (const kind of ["tcp", "unix"] as const) {
  Deno.test(`Tap (${kind}) relays and records both directions until both have ended`, async () => {
    await using pair = await TappedPair.open(kind);
    const question = numbers(300_000);
    const answer = numbers(70_000).reverse();
    const answered = readUntilLost(pair.client);
    await Promise.all([
      writeAll(pair.client, question).then(() => pair.client.closeWrite()),
      readExactly(pair.server, question.length).then((got) => assertEquals(got, question)),
    ]);
    // The client has ended its direction; the other one still works.
    await writeAll(pair.server, answer);
    pair.server.close();
    assertEquals(await answered, answer);
    await pair.tap.connection().done;
    assertEquals(pair.tap.forward().bytes, question);
    assertEquals(pair.tap.back().bytes, answer);
  });

  Deno.test(`TapFlow.cutAfter() (${kind}) loses the link after exactly so many bytes`, async () => {
    await using pair = await TappedPair.open(kind, (tap) => tap.cutAfter(100_001));
    const got = readUntilLost(pair.server);
    await writeAll(pair.client, numbers(200_000)).catch(() => {});
    assertEquals(await got, numbers(200_000).subarray(0, 100_001));
    await pair.tap.connection().done;
    assertEquals(pair.tap.forward().passed, 100_001);
  });
}

Deno.test("TapFlow.cutAfter() does not wait for a byte after the last one", async () => {
  await using pair = await TappedPair.open("unix", (tap) => tap.back().cutAfter(3));
  await writeAll(pair.server, numbers(3));
  assertEquals(await readUntilLost(pair.client), numbers(3));
});

Deno.test("TapFlow.stallAfter() lets so many bytes pass, and the rest after resume()", async () => {
  await using pair = await TappedPair.open("tcp", (tap) => tap.forward().stallAfter(1000));
  const sent = numbers(5000);
  await writeAll(pair.client, sent);
  assertEquals(await readExactly(pair.server, 1000), sent.subarray(0, 1000));
  const rest = readExactly(pair.server, 4000);
  // The other direction still flows: what arrives on it is newer than all that was sent.
  await writeAll(pair.server, numbers(10));
  await readExactly(pair.client, 10);
  assertEquals(pair.tap.forward().passed, 1000);
  pair.tap.resume();
  assertEquals(await rest, sent.subarray(1000));
});

Deno.test("Tap.stall() holds both directions of every connection, and can be cut", async () => {
  await using pair = await TappedPair.open("unix");
  await pair.tap.waitForConnections(1);
  pair.tap.stall();
  await writeAll(pair.client, numbers(10));
  await writeAll(pair.server, numbers(10));
  const [atServer, atClient] = [readUntilLost(pair.server), readUntilLost(pair.client)];
  pair.tap.cut();
  assertEquals((await atServer).length, 0);
  assertEquals((await atClient).length, 0);
});

Deno.test("TapFlow.corruptAt() changes one byte, on the wire and in the record", async () => {
  await using pair = await TappedPair.open("unix", (tap) => {
    tap.forward().corruptAt(70_000, 0x01);
    tap.forward().cutAfter(70_001); // a piece that ends there
  });
  const got = readUntilLost(pair.server);
  await writeAll(pair.client, numbers(80_000)).catch(() => {});
  const expected = numbers(70_001);
  expected[70_000] = expected[70_000]! ^ 0x01;
  assertEquals(await got, expected);
  assertEquals(pair.tap.forward().bytes, expected);
});

Deno.test("TapFlow.corruptAt() refuses a byte that has passed", async () => {
  await using pair = await TappedPair.open("unix");
  await writeAll(pair.client, numbers(10));
  await pair.tap.forward().waitFor(10);
  assertThrows(() => pair.tap.forward().corruptAt(9), RangeError, "Byte 9");
  pair.tap.forward().corruptAt(10);
});

Deno.test("Tap.throttle() reads in small pieces, and Infinity ends it at once", async () => {
  await using pair = await TappedPair.open("unix", (tap) => tap.throttle(1000));
  const got = readUntilLost(pair.server);
  await writeAll(pair.client, numbers(100_000)); // more than a minute at that rate
  await pair.client.closeWrite();
  await pair.tap.forward().waitFor(1);
  assert(pair.tap.forward().passed <= 1000, `${pair.tap.forward().passed} bytes at once`);
  pair.tap.throttle(Infinity);
  assertEquals(await got, numbers(100_000));
});

Deno.test("Tap.cut() refuses new connections until restore()", async () => {
  await using pair = await TappedPair.open("unix");
  pair.tap.cut();
  using refused = await connectTo(pair.tap.uri);
  assertEquals((await readUntilLost(refused)).length, 0);
  pair.tap.restore();
  using again = await connectTo(pair.tap.uri);
  await pair.tap.waitForConnections(3);
  await writeAll(again, numbers(10));
  await pair.tap.forward(2).waitFor(10);
});

Deno.test("TapFlow.waitFor() fails when the connection ends before", async () => {
  await using pair = await TappedPair.open("tcp", (tap) => tap.cutAfter(10));
  const waiting = assertRejects(
    () => pair.tap.forward().waitFor(11),
    Error,
    "Connection ended after 10 bytes",
  );
  await writeAll(pair.client, numbers(20)).catch(() => {});
  await waiting;
});

Deno.test("Tap closes a connection when nobody listens behind it", async () => {
  await using tap = new Tap({ to: "tcp:127.0.0.1:1" });
  using client = await connectTo(tap.uri);
  assertEquals((await readUntilLost(client)).length, 0);
  const error = await assertRejects(() => tap.forward().waitFor(1), Error);
  assert(error.cause instanceof Deno.errors.ConnectionRefused);
});

Deno.test("Tap without a record says so", async () => {
  await using pair = await TappedPair.open("unix", undefined, { record: false });
  await writeAll(pair.client, numbers(10));
  await pair.tap.forward().waitFor(10);
  assertThrows(() => pair.tap.forward().bytes, TypeError, "does not record");
});
