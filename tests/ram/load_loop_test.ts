import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { openPageDecoder } from "../../src/postcopy/page_decoder.ts";
import { LoadLoop } from "../../src/ram/load_loop.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { SharedStream, StreamEnd } from "../../src/threads/shared_stream.ts";
import { MemoryChannel, pieces } from "./fixtures/channels.ts";
import { assertSameRam, encodeAll, patternedRam, SPECS } from "./fixtures/patterned_ram.ts";

const EOS = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x10);

function setUp(channel: MemoryChannel) {
  const stream = SharedStream.create();
  const counters = new ChannelCounters();
  const input = { stream: stream.layout, counters: counters.buffer };
  const loop = new LoadLoop(channel, input, openPageDecoder);
  return { stream, counters, loop };
}

for (const size of [1, 4096, 100_000]) {
  Deno.test(`LoadLoop places pages that arrive ${size} bytes at a time, up to what is no page`, async () => {
    const ram = patternedRam(false);
    const records = encodeAll(ram).subarray(0, size === 1 ? 20_000 : undefined);
    const bytes = new Uint8Array([...records, ...size === 1 ? [] : EOS, 99]);
    const { stream, counters, loop } = setUp(new MemoryChannel(pieces(bytes, size)));
    const received = GuestRam.create(SPECS);
    loop.setRam(received.layout);
    const turn = loop.takeTurn(0);
    const filling = loop.fill();
    const position = await turn;
    await filling;
    if (size > 1) {
      assertSameRam(received, ram);
      assertEquals(position, records.length);
      assertEquals(counters.get("normalPages") + counters.get("zeroPages"), 237);
      // The rest is the main thread's, at the place where the worker stopped.
      stream.takeTurn(position);
      assertEquals(stream.available, EOS.length + 1);
    } else {
      assert(position < records.length, "the stream ended inside a record");
    }
    assertEquals([counters.get("bytes"), stream.end], [bytes.length, StreamEnd.CLOSED]);
  });
}

Deno.test("LoadLoop takes its turn when bytes are there already", async () => {
  const ram = patternedRam(true);
  const { stream, loop } = setUp(new MemoryChannel([encodeAll(ram), EOS]));
  const received = GuestRam.create(SPECS);
  await loop.fill();
  loop.setRam(received.layout);
  const position = await loop.takeTurn(0);
  assertSameRam(received, ram);
  stream.takeTurn(position);
  assertEquals(stream.available, EOS.length);
});

Deno.test("LoadLoop refuses a turn before it knows the RAM", async () => {
  const { loop } = setUp(new MemoryChannel());
  await assertRejects(() => loop.takeTurn(0), RangeError, "before the machine's RAM");
});

Deno.test("LoadLoop's turn fails with what is wrong in a record", async () => {
  const record = new Uint8Array([...EOS.with(7, 0x28), ...new Uint8Array(4096)]);
  const { loop } = setUp(new MemoryChannel([record]));
  loop.setRam(GuestRam.create(SPECS).layout);
  const turn = loop.takeTurn(0);
  await Promise.all([
    assertRejects(() => turn, StreamFormatError, "continues no block"),
    loop.fill(),
  ]);
});

Deno.test("LoadLoop's turn fails when the connection breaks in a record; the ring says so too", async () => {
  const record = encodeAll(patternedRam(false)).subarray(0, 5000);
  const { stream, loop } = setUp(new MemoryChannel([record], 0));
  loop.setRam(GuestRam.create(SPECS).layout);
  const turn = loop.takeTurn(0);
  await Promise.all([
    assertRejects(() => turn, ConnectionLostError),
    assertRejects(() => loop.fill(), ConnectionLostError),
  ]);
  assertEquals(stream.end, StreamEnd.FAILED);
});
