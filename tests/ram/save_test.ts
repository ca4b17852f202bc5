import { assert, assertEquals, assertRejects } from "@std/assert";
import { CancelledError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { IncomingStream } from "../../src/ram/incoming_stream.ts";
import { RamLoader } from "../../src/ram/load.ts";
import { OutgoingStream } from "../../src/ram/outgoing_stream.ts";
import { type BatchSink, type PartLimits, RamSaver } from "../../src/ram/save.ts";
import { LoadContext, type SectionPart } from "../../src/savevm/load.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import { ElementType } from "../../src/wire/section.ts";
import { connectedSpecs } from "./fixtures/channels.ts";
import { assertSameRam, patternedRam, SPECS } from "./fixtures/patterned_ram.ts";

const NO_TROUBLE = () => {};
const FREELY: PartLimits = { allowance: () => Infinity, check: NO_TROUBLE };

/** A saver and a loader with real threads and a connection between them. */
async function connected(ram: GuestRam) {
  const { from, to } = await connectedSpecs();
  const stream = await OutgoingStream.start({
    channel: from,
    ram,
    progress: new Progress(),
    encoder: { detectZero: true },
  });
  const incoming = await IncomingStream.start(to);
  const received = GuestRam.create(SPECS);
  const names: string[] = [];
  const loader = new RamLoader({
    dialect: { pageSize: 4096 },
    prepare: (blocks) => {
      names.push(...blocks.map(({ name }) => name));
      incoming.setRam(received);
      return Promise.resolve();
    },
    loadPages: () => incoming.loadPages(),
    flush: () => Promise.resolve(),
  });
  const parts: SectionPart[] = [];
  const context = new LoadContext({
    configuration: () => {},
    section: () => ({
      load: async (reader, part) => {
        parts.push(part);
        await loader.load(reader, part, context);
      },
    }),
    command: () => Promise.resolve("continue"),
  });
  return {
    stream,
    saver: new RamSaver(ram, stream, stream, 2),
    received,
    names,
    parts,
    /** Ends the stream and waits for the other side. */
    finish: async () => {
      const loading = context.loadElements(incoming.reader).finally(() =>
        incoming[Symbol.asyncDispose]()
      );
      stream.writer.u8(ElementType.EOF);
      await stream.end(NO_TROUBLE);
      await loading;
      await stream[Symbol.asyncDispose]();
    },
    abandon: async () => {
      await stream[Symbol.asyncDispose]();
      await incoming[Symbol.asyncDispose]();
    },
  };
}

Deno.test("RamSaver sends START, PARTs and END that a RamLoader loads", async () => {
  const ram = patternedRam(false);
  const { saver, received, names, parts, finish } = await connected(ram);
  assertEquals(saver.remaining, 237 * 4096);
  await saver.sendStart(SPECS, NO_TROUBLE);
  assertEquals(await saver.sendPart(FREELY), "round");
  // An empty part, then a page that was written meanwhile.
  assertEquals(await saver.sendPart(FREELY), "round");
  ram.blocks[1]!.view(7 * 4096, 4096).fill(77);
  ram.blocks[1]!.dirty.add(7);
  await saver.sendEnd(NO_TROUBLE);
  assertEquals(saver.remaining, 0);
  await finish();
  assertSameRam(received, ram);
  assertEquals(names, SPECS.map(({ name }) => name));
  assertEquals(parts, ["start", "part", "part", "end"]);
});

Deno.test("RamSaver keeps an allowance, and goes on where it stopped", async () => {
  const ram = patternedRam(false);
  const { saver, stream, received, parts, finish } = await connected(ram);
  await saver.sendStart(SPECS, NO_TROUBLE);
  let allowed = 0;
  const limits: PartLimits = {
    allowance: () => allowed - stream.counters.get("bytes"),
    check: NO_TROUBLE,
  };
  assertEquals(await saver.sendPart(limits), "limit");
  assertEquals(saver.remaining, 237 * 4096, "nothing was allowed");
  let limited = 0;
  for (;;) {
    allowed += 50_000;
    const end = await saver.sendPart(limits);
    await stream.written(NO_TROUBLE);
    // At most a page with the marks of the part's end is too much.
    assert(stream.counters.get("bytes") < allowed + 4200, `${stream.counters.get("bytes")}`);
    if (end === "round") break;
    assertEquals(end, "limit");
    limited++;
  }
  assert(limited > 5, `${limited}`);
  await saver.sendEnd(NO_TROUBLE);
  await finish();
  assertSameRam(received, ram);
  assertEquals(parts.at(-1), "end");
});

Deno.test("RamSaver learns under an allowance that pages take little, and that they do not any more", async () => {
  const ram = GuestRam.create([{ name: "zeros, then content", length: 4096 * 4096 }]);
  const [block] = ram.blocks;
  for (let page = 3500; page < 4096; page++) block!.view(page * 4096, 1)[0] = 1;
  block!.untouched.fill(3500, 596, false);
  block!.dirty.fill(0, 4096, true);
  const { stream, abandon } = await connected(ram);
  let batches = 0;
  const sink: BatchSink = {
    ringWithRoom: (check) => (batches++, stream.ringWithRoom(check)),
    batchPages: stream.batchPages,
    pending: 0,
    drained: (check) => stream.drained(check),
  };
  const saver = new RamSaver(ram, stream, sink, 2);
  const sent = () => stream.counters.get("bytes");
  const limits: PartLimits = {
    ...{ allowance: () => 60_000 - sent(), tolerance: () => 300_000, sent, check: NO_TROUBLE },
  };
  let end;
  while ((end = await saver.sendPart(limits)) === "time");
  assertEquals(end, "limit");
  await stream.written(NO_TROUBLE);
  // 3500 pages of zeros take 31500 bytes: whole pages would have been 250 batches.
  assert(batches < 60, `${batches} batches`);
  const tooMuch = sent() - 60_000;
  assert(tooMuch > 0 && tooMuch < 300_000 + 4200, `${tooMuch}`);
  await abandon();
});

Deno.test("RamSaver sends a page even when less than a page is allowed", async () => {
  const ram = patternedRam(false);
  const { saver, abandon } = await connected(ram);
  await saver.sendStart(SPECS, NO_TROUBLE);
  let asked = 0;
  // Allows one byte, and then nothing.
  const limits = { allowance: () => asked++ < 2 ? 1 : 0, check: NO_TROUBLE };
  assertEquals(await saver.sendPart(limits), "limit");
  while (saver.remaining === 237 * 4096) await new Promise((resolve) => setTimeout(resolve));
  assertEquals(saver.remaining, 236 * 4096);
  await abandon();
});

Deno.test("RamSaver stops where it is when there is trouble; what was not sent is dirty", async () => {
  const ram = patternedRam(false);
  const { saver, abandon } = await connected(ram);
  await saver.sendStart(SPECS, NO_TROUBLE);
  let looks = 0;
  const check = () => {
    if (++looks > 4) throw new CancelledError("Cancelled");
  };
  await assertRejects(() => saver.sendPart({ allowance: () => Infinity, check }), CancelledError);
  await abandon();
  assert(saver.remaining > 0);
});
