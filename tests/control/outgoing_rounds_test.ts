import { assert, assertEquals, assertRejects } from "@std/assert";
import { defaultParameters } from "../../src/control/parameters.ts";
import { markWritten } from "../../src/dirty/barrier_log.ts";
import { CancelledError } from "../../src/errors.ts";
import type { RamBlock } from "../../src/machine/ram_block.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { Events } from "./fixtures/events.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";

Deno.test("setParameters() acts at once: a limit is lifted, a downtime allowed", async () => {
  await using pair = await Pair.create({ blocks: { ram: 1024 } });
  const block = pair.source.ram.blocks[0]!;
  let writes = true;
  const incoming = pair.receive();
  const here = new Events();
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...settings({}, { "max-bandwidth": 200_000, "downtime-limit": 1 }),
    onEvent: (event) => {
      here.on(event);
      // In each round every page is written, however fast the round is.
      if (event.event === "MIGRATION_PASS" && writes) writeEveryPage(block);
      if (event.event === "STOP") writes = false;
    },
  });
  await here.seen("active");
  const { ram } = outgoing.info();
  assert(ram && ram.remaining > 0);
  // Twenty seconds of the limit, at once; but at this bandwidth what was written takes four.
  const slow = { "avail-switchover-bandwidth": 1_000_000, "downtime-limit": 100 };
  outgoing.setParameters({ ...defaultParameters(), ...slow });
  await here.seen("MIGRATION_PASS", 5);
  assertEquals(outgoing.status, "active");
  assert(outgoing.info()["expected-downtime"]! > 4000);
  outgoing.setParameters({ ...defaultParameters(), ...slow, "downtime-limit": 10_000 });
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(contentOf(pair.destination, "ram"), contentOf(pair.source, "ram"));
});

/** What a guest does that writes all over its RAM, and marks what it writes. */
function writeEveryPage(block: RamBlock): void {
  for (let at = 0; at < block.length; at += 4096) block.view(at, 1)[0]!++;
  markWritten(block, 0, block.length);
}

Deno.test("A guest that writes everything faster than a round is moved when enough of it has passed", async () => {
  await using pair = await Pair.create({ blocks: { ram: 200 } });
  const block = pair.source.ram.blocks[0]!;
  const incoming = pair.receive();
  // A round takes 8 slices of 100 ms, in which every page is written; 3 after a write the rest fits.
  const writer = setInterval(() => pair.source.running && writeEveryPage(block), 500);
  try {
    const slow = { "max-bandwidth": 1_000_000, "downtime-limit": 600 };
    const outgoing = pair.send(formatUri(await incoming.listening), settings({}, slow));
    await Promise.all([outgoing.completed, incoming.completed]);
  } finally {
    clearInterval(writer);
  }
  assertEquals(contentOf(pair.destination, "ram"), contentOf(pair.source, "ram"));
});

Deno.test("switchover-ack: the source goes on until the destination agrees", async () => {
  await using pair = await Pair.create();
  const on = settings({ "switchover-ack": true });
  const incoming = pair.receive(on);
  await pair.send(formatUri(await incoming.listening), on).completed;
  await incoming.completed;
});

Deno.test("switchover-ack: a destination that does not agree keeps the guest at the source", async () => {
  await using pair = await Pair.create();
  const here = new Events();
  const incoming = pair.receive(); // its capability is off
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...settings({ "switchover-ack": true }),
    onEvent: here.on,
  });
  await here.seen("MIGRATION_PASS", 5);
  assertEquals([outgoing.status, pair.source.running], ["active", true]);
  outgoing.cancel();
  await assertRejects(() => outgoing.completed, CancelledError);
  await assertRejects(() => incoming.completed);
});

Deno.test("switchover-ack: a destination that does not agree gets no machine by postcopy either", async () => {
  await using pair = await Pair.create({ blocks: { ram: 400 } });
  const here = new Events();
  const on = { "postcopy-ram": true, "switchover-ack": true };
  const incoming = pair.receive(settings({ "postcopy-ram": true }));
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...settings(on),
    onEvent: here.on,
  });
  outgoing.startPostcopy();
  await here.seen("MIGRATION_PASS", 3);
  assertEquals([outgoing.status, pair.source.running], ["active", true]);
  outgoing.cancel();
  await assertRejects(() => outgoing.completed, CancelledError);
  await assertRejects(() => incoming.completed);

  const agreed = pair.receive(settings(on));
  const second = pair.send(formatUri(await agreed.listening), settings(on));
  second.startPostcopy();
  await Promise.all([second.completed, agreed.completed]);
});

Deno.test("switchover-ack: of a machine that stands still nobody is asked", async () => {
  await using pair = await Pair.create();
  await pair.source.stop("paused");
  await pair.migrate(settings({ "switchover-ack": true }));
});
