import { assert, assertEquals, assertRejects } from "@std/assert";
import { CancelledError, ConnectionLostError } from "../../src/errors.ts";
import type { GuestRam } from "../../src/machine/guest_ram.ts";
import { OutgoingStream } from "../../src/ram/outgoing_stream.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import type { Channel } from "../../src/transport/channel.ts";
import { withFolder } from "../image/fixtures.ts";
import { connectedSpecs } from "./fixtures/channels.ts";
import { patternedRam } from "./fixtures/patterned_ram.ts";

const NO_TROUBLE = () => {};

async function start(ram: GuestRam = patternedRam(false)) {
  const { from, to } = await connectedSpecs();
  const channel = openChannel(to);
  const progress = new Progress();
  const stream = await OutgoingStream.start({
    channel: from,
    ram,
    progress,
    encoder: { detectZero: true },
  });
  return { ram, stream, channel, progress };
}

async function readAll(channel: Channel, count = Infinity): Promise<number[]> {
  const bytes: number[] = [];
  const buffer = new Uint8Array(65_536);
  while (bytes.length < count) {
    const got = await channel.read(buffer);
    if (got === 0) break;
    bytes.push(...buffer.subarray(0, got));
  }
  return bytes;
}

Deno.test("OutgoingStream sends what its writer holds, of any length, and ends its side", async () => {
  const { stream, channel } = await start();
  const sent = Uint8Array.from({ length: 10_000 }, (_, i) => i * 7);
  stream.writer.bytes(sent);
  const received = readAll(channel).finally(() => channel.close());
  await stream.end(NO_TROUBLE);
  await stream.ended;
  assertEquals(await received, [...sent]);
  await stream[Symbol.asyncDispose]();
});

Deno.test("OutgoingStream.written() waits until the connection has everything", async () => {
  const { stream, channel } = await start();
  stream.writer.be32(0x01020304);
  await stream.written(NO_TROUBLE);
  assertEquals(stream.counters.get("bytes"), 4);
  assertEquals(await readAll(channel, 4), [1, 2, 3, 4]);
  channel.close();
  await stream[Symbol.asyncDispose]();
});

Deno.test("OutgoingStream.drained() and ringWithRoom() give up when waiting has no point", async () => {
  const { stream, channel } = await start();
  const trouble = () => {
    throw new CancelledError("Enough");
  };
  await assertRejects(() => stream.drained(trouble), CancelledError);
  await assertRejects(() => stream.ringWithRoom(trouble), CancelledError);
  await assertRejects(() => stream.flush(trouble).then(() => stream.end(trouble)), CancelledError);
  channel.close();
  await stream[Symbol.asyncDispose]();
});

Deno.test("OutgoingStream whose connection breaks wakes who waits for room", async () => {
  const { stream, channel } = await start();
  channel.close();
  const failure = assertRejects(() => stream.ended, ConnectionLostError);
  let error: unknown;
  stream.ended.catch((thrown) => error = thrown);
  const check = () => {
    if (error) throw error;
  };
  await assertRejects(async () => {
    // More than the ring and the kernel's buffers take.
    for (;;) {
      stream.writer.zeros(100_000);
      await stream.flush(check);
    }
  }, ConnectionLostError);
  await failure;
  await stream[Symbol.asyncDispose]();
});

Deno.test("OutgoingStream ends at once while its peer does not read", async () => {
  const { stream, channel, progress } = await start();
  for (let i = 0; i < 16; i++) {
    stream.writer.zeros(2_000);
    await stream.flush(NO_TROUBLE);
  }
  let stopped = false;
  const pushing = (async () => {
    for (let i = 0; i < 1000; i++) {
      stream.writer.zeros(100_000);
      await stream.flush(() => {
        if (stopped) throw new CancelledError("Stopped");
      });
    }
  })();
  const refused = assertRejects(() => pushing, CancelledError);
  await new Promise((resolve) => setTimeout(resolve, 20));
  stopped = true;
  progress.bump();
  await refused;
  await stream[Symbol.asyncDispose]();
  channel.close();
  assert(stream.pending >= 0);
});

Deno.test("OutgoingStream writes to any place of a file, and knows where it is", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    const stream = await OutgoingStream.start({
      channel: fileSpec(path, 10, "write"),
      ram: patternedRam(false),
      progress: new Progress(),
      encoder: { detectZero: true },
    });
    stream.writer.be32(0x01010101);
    assertEquals(stream.position, 14);
    await stream.seek(5000, NO_TROUBLE);
    stream.writer.be32(0x02020202);
    await stream.seek(16, NO_TROUBLE);
    assertEquals(stream.position, 16);
    stream.writer.u8(3);
    await stream.seek(5004, NO_TROUBLE);
    stream.writer.u8(4);
    assertEquals(stream.position, 5005);
    await stream.end(NO_TROUBLE);
    await stream[Symbol.asyncDispose]();
    const bytes = await Deno.readFile(path);
    assertEquals(bytes.length, 5005);
    assertEquals([...bytes.subarray(8, 20)], [0, 0, 1, 1, 1, 1, 0, 0, 3, 0, 0, 0]);
    assertEquals([...bytes.subarray(4998)], [0, 0, 2, 2, 2, 2, 4]);
    assertEquals(stream.counters.get("bytes"), 10);
  }));

Deno.test("OutgoingStream has no places in a connection", async () => {
  const { stream, channel } = await start();
  await stream.seek(5, NO_TROUBLE);
  await assertRejects(() => stream.ended, Error, "has no positions");
  channel.close();
  await stream[Symbol.asyncDispose]();
});
