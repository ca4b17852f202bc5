import { setTimeout as delay } from "node:timers/promises";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  IncompatibleError,
  type MigrationError,
  StreamFormatError,
} from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { RamFlag } from "../../src/ram/flags.ts";
import { IncomingStream } from "../../src/ram/incoming_stream.ts";
import { STOP_GRACE_MS } from "../../src/threads/worker_handle.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { KINDS, Missing } from "../postcopy/fixtures/missing.ts";
import { connectedSpecs } from "./fixtures/channels.ts";
import { assertSameRam, encodeAll, patternedRam, SPECS } from "./fixtures/patterned_ram.ts";

async function start() {
  const { from, to } = await connectedSpecs();
  const stream = await IncomingStream.start(to);
  return { stream, channel: openChannel(from) };
}

Deno.test("IncomingStream gives the turn from thread to thread and back", async () => {
  const { stream, channel } = await start();
  await using _ = stream;
  const ram = patternedRam(false);
  const received = GuestRam.create(SPECS);
  await channel.write(Uint8Array.of(1, 2, 3));
  assertEquals((await stream.reader.bytes(3, 3, "it")).toHex(), "010203");
  stream.setRam(received);
  const records = encodeAll(ram);
  const sending = channel.write(records).then(() =>
    channel.write(new ByteWriter().be64(0x10).u8(7).be64(0x1022).u8(0).be64(0x10).take())
  );
  await stream.loadPages();
  assertSameRam(received, ram);
  assertEquals(stream.reader.position, 3 + records.length);
  assertEquals(await stream.reader.be64("EOS"), 0x10n);
  assertEquals(await stream.reader.u8("it"), 7);
  // The block is remembered from turn to turn.
  await stream.loadPages();
  assertEquals(await stream.reader.be64("EOS"), 0x10n);
  await sending;
  await channel.shutdown();
  assert(await stream.reader.atEnd());
  assertEquals(stream.counters.get("bytes"), stream.reader.position);
  assertEquals(stream.broken, undefined);
  channel.close();
});

Deno.test("IncomingStream.loadPages() fails when the stream ends in a record", async () => {
  for (const length of [1, 8, 100]) {
    const { stream, channel } = await start();
    await using _ = stream;
    stream.setRam(GuestRam.create(SPECS));
    await channel.write(encodeAll(patternedRam(false)).subarray(20, 20 + length));
    await channel.write(new ByteWriter().be64(0x08).countedString("low").take());
    channel.close();
    await assertRejects(() => stream.loadPages(), ConnectionLostError);
  }
});

Deno.test("IncomingStream.loadPages() fails with the worker's error, of its class", async () => {
  const wrong: readonly (readonly [Uint8Array, new (what: string) => MigrationError, string])[] = [
    [
      new ByteWriter().be64(0x28).zeros(4096).take(),
      StreamFormatError,
      "continues no block (at offset 0x0)",
    ],
    [
      new ByteWriter().be64(0x08).countedString("vga").zeros(4096).take(),
      IncompatibleError,
      'RAM block "vga"',
    ],
    [
      new ByteWriter().be64(0x5002).countedString("low").zeros(4096).take(),
      StreamFormatError,
      "outside RAM block",
    ],
  ];
  for (const [bytes, type, message] of wrong) {
    const { stream, channel } = await start();
    await using _ = stream;
    stream.setRam(GuestRam.create(SPECS));
    await channel.write(bytes);
    await assertRejects(() => stream.loadPages(), type, message);
    channel.close();
  }
});

Deno.test("IncomingStream.abandon() ends what waits for a source that says nothing", async () => {
  const { stream, channel } = await start();
  await using _ = stream;
  const reading = assertRejects(() => stream.reader.u8("it"), ConnectionLostError);
  stream.abandon();
  await reading;
  channel.close();
});

Deno.test("IncomingStream ends while its source still sends", async () => {
  const { stream, channel } = await start();
  const sending = (async () => {
    for (;;) await channel.write(new Uint8Array(1_000_000));
  })();
  const lost = assertRejects(() => sending, ConnectionLostError);
  await stream.reader.skip(3_000_000, "some");
  await stream[Symbol.asyncDispose]();
  await lost;
  channel.close();
});

Deno.test("IncomingStream.loadPages() may give the turn before there is a page, and none need come", async () => {
  const { stream, channel } = await start();
  await using _ = stream;
  const received = GuestRam.create(SPECS);
  stream.setRam(received);
  const ram = patternedRam(false);
  const loading = stream.loadPages(true);
  await channel.write(encodeAll(ram));
  await channel.write(new ByteWriter().be64(0x10).take());
  await loading;
  assertSameRam(received, ram);
  const { position } = stream.reader;
  await stream.loadPages(true);
  assertEquals(stream.reader.position, position, "what is no page stays");
  assertEquals(await stream.reader.be64("EOS"), 0x10n);
  const none = stream.loadPages(true);
  channel.close();
  await none;
  await assertRejects(() => stream.reader.be64("more"), ConnectionLostError);
});

for (const how of ["silent", "sending all the time"]) {
  Deno.test(`An IncomingStream of postcopy ends at once, its source being ${how}`, async () => {
    using missing = new Missing(KINDS[0]!);
    const { stream, channel } = await start();
    stream.setRam(missing.ram);
    stream.setPostcopy({
      ...{ missing: missing.missing.layout, sectionId: undefined, isUrgent: true },
    });
    stream.loadPages(true).catch(() => {}); // it ends in the middle, or not at all
    const page = (flags: number) => new ByteWriter().be64(0x1000 + flags);
    await channel.write(page(RamFlag.ZERO).countedString("ram").u8(0).take());
    let isOver = false;
    const sending = (async () => {
      const again = page(RamFlag.ZERO | RamFlag.CONTINUE).u8(0).take();
      for (; how !== "silent" && !isOver; await delay(1)) await channel.write(again);
    })().catch(() => {}); // it ends in the middle
    while (stream.counters.get("zeroPages") === 0) await delay(2);
    await delay(200); // by then it waits for long, or is busy
    const before = performance.now();
    await stream[Symbol.asyncDispose]();
    // A thread that has to be terminated leaves its descriptor open: the source never learns of it.
    assert(performance.now() - before < STOP_GRACE_MS, "it was terminated");
    isOver = true;
    channel.close();
    await sending;
  });
}
