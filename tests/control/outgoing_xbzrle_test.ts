import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { FakeTime } from "./fixtures/fake_time.ts";
import { OutgoingXbzrle } from "../../src/control/outgoing_xbzrle.ts";
import { XbzrleControl } from "../../src/ram/xbzrle_control.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { Pair, settings } from "./fixtures/pair.ts";

const MIB = 1024 ** 2;

Deno.test("OutgoingXbzrle begins with the second round, and takes another size", () => {
  const { parameters } = settings({}, { "xbzrle-cache-size": MIB });
  const xbzrle = new OutgoingXbzrle(parameters, 4096);
  const worker = new XbzrleControl(xbzrle.buffer);
  assertEquals([worker.round, worker.cacheSize, worker.lastStage], [0, MIB, false]);
  xbzrle.synced(2, 100, false);
  assertEquals([worker.round, worker.lastStage], [2, false]);
  xbzrle.setParameters({ ...parameters, "xbzrle-cache-size": 2 * MIB });
  xbzrle.synced(3, 100, true);
  assertEquals([worker.round, worker.cacheSize, worker.lastStage], [3, 2 * MIB, true]);
});

Deno.test("OutgoingXbzrle's figures are QMP's; rates are of the last second and more", () => {
  using time = new FakeTime();
  const xbzrle = new OutgoingXbzrle(settings().parameters, 4096);
  const worker = new XbzrleControl(xbzrle.buffer);
  const none = { "cache-miss-rate": 0, "encoding-rate": 0, overflow: 0 };
  assertEquals(xbzrle.info(), {
    ...{ "cache-size": 64 * MIB, bytes: 0, pages: 0, "cache-miss": 0 },
    ...none,
  });
  worker.count("cacheMiss", 30);
  worker.count("pages", 70);
  worker.count("bytes", 4096 * 7);
  worker.count("overflow", 2);
  time.tick(900);
  xbzrle.synced(2, 120, false);
  assertEquals([xbzrle.info()["cache-miss-rate"], xbzrle.info()["encoding-rate"]], [0, 0]);
  time.tick(200);
  xbzrle.synced(3, 120, false);
  assertEquals(xbzrle.info(), {
    ...{ "cache-size": 64 * MIB, bytes: 4096 * 7, pages: 70, "cache-miss": 30 },
    ...{ "cache-miss-rate": 0.25, "encoding-rate": 10, overflow: 2 },
  });
  // Nothing was sent of what was in the cache: there is no rate.
  time.tick(1100);
  worker.count("pages", 10);
  xbzrle.synced(4, 130, false);
  assertAlmostEquals(xbzrle.info()["cache-miss-rate"], 0);
  assertEquals(xbzrle.info()["encoding-rate"], 0);
});

for (const log of ["kernel", "hash"] as const) {
  Deno.test(`xbzrle moves a machine whose guest writes all the time; every page is right (${log})`, async () => {
    await using pair = await Pair.create({ blocks: { ram: 2048 }, vcpus: ["beat,rate=40M"] });
    const incoming = pair.receive();
    let enough = false;
    const limited = settings({ xbzrle: true }, { "max-bandwidth": 4 * MIB, "downtime-limit": 1 });
    const outgoing = pair.send(formatUri(await incoming.listening), {
      ...limited,
      onEvent: ({ event }) => {
        const figures = event === "MIGRATION_PASS" && outgoing.info()["xbzrle-cache"];
        if (!figures || figures.pages < 1000 || enough) return;
        enough = true;
        outgoing.setParameters({
          ...limited.parameters,
          ...{ "max-bandwidth": 0, "downtime-limit": 2000 },
        });
      },
    }, log);
    const info = await outgoing.completed;
    await incoming.completed;
    await pair.destination.stop();
    assertEquals(await verifyRam(pair.source), undefined);
    assertEquals(await verifyRam(pair.destination), undefined);
    const figures = info["xbzrle-cache"]!;
    assert(figures["cache-miss"] > 0 && figures.bytes > 0, JSON.stringify(figures));
    // Pages that differed little or not at all were not sent as pages.
    assert(figures.pages - figures.overflow > 0);
  });
}

Deno.test("A machine without xbzrle says nothing of it", async () => {
  await using pair = await Pair.create();
  const { source } = await pair.migrate();
  assertEquals(source["xbzrle-cache"], undefined);
});

Deno.test("xbzrle ends where postcopy begins: every page is right", async () => {
  await using pair = await Pair.create({
    blocks: { ram: 2048 },
    vcpus: ["stress,rate=40M,write=word"],
  });
  const both = settings({ xbzrle: true, "postcopy-ram": true }, { "max-bandwidth": 16 * MIB });
  const incoming = pair.receive(both);
  let begun = false;
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...both,
    onEvent: ({ event }) => {
      const figures = event === "MIGRATION_PASS" && outgoing.info()["xbzrle-cache"];
      if (!figures || figures.pages < 200 || begun) return;
      begun = true;
      outgoing.startPostcopy();
    },
  });
  await Promise.all([outgoing.completed, incoming.completed]);
  assert(begun);
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.destination), undefined);
});
