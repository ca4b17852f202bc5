import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import type { IncomingTarget } from "../../src/control/incoming_target.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import {
  CancelledError,
  ConnectionLostError,
  HandoverUnknownError,
  IncompatibleError,
  PeerFailedError,
  StateError,
  TransportError,
} from "../../src/errors.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { connectTo } from "../support/sockets.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");

function receiveImage(keep: (image: MachineImage) => Promise<void>) {
  const target = new ImageTarget(keep);
  return { target, incoming: new IncomingMigration(target, { uri: ANY_PORT, ...settings() }) };
}

Deno.test("IncomingMigration.listening gives the port that was chosen", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive();
  assertEquals(incoming.info(), {});
  const uri = await incoming.listening;
  assert(uri.kind === "tcp" && uri.port > 0);
  assertEquals(incoming.info(), { status: "setup" });
  assertEquals(incoming.received, 0);
  incoming.cancel();
  await assertRejects(() => incoming.completed, CancelledError);
});

Deno.test("IncomingMigration where nobody can listen rejects both promises", async () => {
  await using pair = await Pair.create();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const incoming = pair.receive({ uri: parseUri(`tcp:127.0.0.1:${port}`) });
  await assertRejects(() => incoming.listening, TransportError, "in use");
  await assertRejects(() => incoming.completed, TransportError, "in use");
});

Deno.test("IncomingMigration.cancel() while a source sends: the source's guest runs on", async () => {
  await using pair = await Pair.create();
  const active = Promise.withResolvers<void>();
  const incoming = pair.receive({
    onEvent: (event) => {
      if (event.event === "MIGRATION" && event.data.status === "active") active.resolve();
    },
  });
  const outgoing = pair.send(
    formatUri(await incoming.listening),
    settings({}, { "max-bandwidth": 10_000 }),
  );
  await active.promise;
  incoming.cancel();
  const error = await assertRejects(() => incoming.completed, CancelledError);
  assertEquals(error.place.side, "destination");
  assertEquals(incoming.info(), { status: "failed", "error-desc": error.message });
  await assertRejects(() => outgoing.completed);
  assertEquals([pair.source.running, pair.destination.runState === "running"], [true, false]);
  assertThrows(() => incoming.cancel(), StateError, "failed");
});

Deno.test("IncomingMigration.cancel() after the end is refused", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive();
  await pair.send(formatUri(await incoming.listening)).completed;
  await incoming.completed;
  assertThrows(() => incoming.cancel(), StateError, "Too late");
  assert(pair.destination.running);
  assert(incoming.received > 0);
});

Deno.test("IncomingMigration does not wait for ever for a source that has nothing to say", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive({ beginningTimeout: 50 });
  using visitor = await connectTo(formatUri(await incoming.listening));
  const error = await assertRejects(() => incoming.completed, ConnectionLostError);
  assert(error.message.includes("did not begin a migration within 50 ms"), error.message);
  // The visitor is shown out.
  assertEquals(await visitor.read(new Uint8Array(1)), null);
});

Deno.test("IncomingMigration lets a source that has begun take its time", async () => {
  await using pair = await Pair.create();
  // Long enough for a busy host to begin in, and shorter than the rest takes.
  const incoming = pair.receive({ beginningTimeout: 3000 });
  const outgoing = pair.send(
    formatUri(await incoming.listening),
    settings({}, { "max-bandwidth": 12_000 }),
  );
  await Promise.all([outgoing.completed, incoming.completed]);
  assert(pair.destination.running);
});

Deno.test("An image that cannot be kept is no success: the source is told, and runs on", async () => {
  await using pair = await Pair.create();
  const { incoming } = receiveImage(() => Promise.reject(new TypeError("The disk is full")));
  const outgoing = pair.send(formatUri(await incoming.listening));
  await assertRejects(() => outgoing.completed, PeerFailedError, "status 1");
  await assertRejects(() => incoming.completed, Error, "The disk is full");
  assert(pair.source.running);
});

Deno.test("The source hears of its success when the image is kept, and not before", async () => {
  await using pair = await Pair.create();
  const keeping = Promise.withResolvers<void>();
  const kept = Promise.withResolvers<void>();
  const { incoming, target } = receiveImage(() => {
    keeping.resolve();
    return kept.promise;
  });
  const outgoing = pair.send(formatUri(await incoming.listening));
  await keeping.promise;
  assertEquals([outgoing.status, incoming.status], ["device", "active"]);
  kept.resolve();
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(contentOf(target.image, "ram"), contentOf(pair.source, "ram"));
  assertEquals(pair.source.runState, "postmigrate");

  // And the image is a machine again.
  await using there = await Machine.create({ name: "pair", ram: { ram: 65536 } });
  const back = new IncomingMigration(new MachineTarget(there), { uri: ANY_PORT, ...settings() });
  const sending = new OutgoingMigration(new ImageSource(target.image), {
    uri: await back.listening,
    ...settings(),
  });
  await Promise.all([sending.completed, back.completed]);
  assert(there.running);
  assertEquals(contentOf(there, "ram"), contentOf(pair.source, "ram"));
});

/** A target that is a machine's, with something going wrong at the end. */
function machineTarget(machine: Machine, changes: Partial<IncomingTarget>): IncomingTarget {
  const target = new MachineTarget(machine);
  return new Proxy(target, {
    get: (_, member) => {
      const own = changes[member as keyof IncomingTarget] ?? target[member as keyof MachineTarget];
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

Deno.test("A cancel while the target completes takes effect before the takeover, and not after it", async () => {
  for (const early of [true, false]) {
    await using pair = await Pair.create();
    const completing = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const target = machineTarget(pair.destination, {
      async complete(_description, takeOver) {
        if (!early) takeOver();
        completing.resolve();
        await goOn.promise;
        if (early) takeOver();
        await pair.destination.start();
        return true;
      },
    });
    const incoming = new IncomingMigration(target, { uri: ANY_PORT, ...settings() });
    const outgoing = pair.send(formatUri(await incoming.listening));
    await completing.promise;
    if (early) incoming.cancel();
    else assertThrows(() => incoming.cancel(), StateError, "Too late");
    goOn.resolve();
    if (early) {
      await assertRejects(() => incoming.completed, CancelledError);
      await assertRejects(() => outgoing.completed, PeerFailedError);
    } else {
      await Promise.all([outgoing.completed, incoming.completed]);
    }
    assertEquals([pair.source.running, pair.destination.running], [early, !early]);
  }
});

Deno.test("A target that fails after the takeover says nothing: the source must not run on", async () => {
  await using pair = await Pair.create();
  // It runs already when this throws.
  pair.destination.onRunState(({ to }) => {
    if (to === "running") throw new Error("I cannot run here");
  });
  const incoming = pair.receive();
  const outgoing = pair.send(formatUri(await incoming.listening));
  await assertRejects(() => incoming.completed, Error, "I cannot run here");
  await assertRejects(() => outgoing.completed, HandoverUnknownError);
  assertEquals([pair.source.running, pair.destination.running], [false, true]);
});

Deno.test("A target that fails to give up says nothing either", async () => {
  await using pair = await Pair.create();
  const target = machineTarget(pair.destination, {
    complete: () => Promise.reject(new IncompatibleError("It does not fit")),
    abandon: () => Promise.reject(new Error("It may run")),
  });
  const incoming = new IncomingMigration(target, { uri: ANY_PORT, ...settings() });
  const outgoing = pair.send(formatUri(await incoming.listening));
  const error = await assertRejects(() => incoming.completed, IncompatibleError);
  assertEquals((error.cause as Error).message, "It may run");
  await assertRejects(() => outgoing.completed, HandoverUnknownError);
});

Deno.test("A listener that throws ends the migration before the takeover, and not after it", async () => {
  const names = ["setup", "active", "RESUME", "completed"];
  for (const wrong of names) {
    await using pair = await Pair.create();
    const incoming = pair.receive({
      onEvent: (event: MigrationEvent) => {
        const name = event.event === "MIGRATION" ? event.data.status : event.event;
        if (name === wrong) throw new RangeError(`I do not like ${name}`);
      },
    });
    const uri = await incoming.listening;
    const outgoing = pair.send(formatUri(uri));
    const [source, destination] = await Promise.allSettled([
      outgoing.completed,
      incoming.completed,
    ]);
    const late = wrong === "RESUME" || wrong === "completed";
    assertEquals(destination.status, late ? "fulfilled" : "rejected", wrong);
    assertEquals(source.status, late ? "fulfilled" : "rejected", wrong);
    assertEquals([pair.source.running, pair.destination.running], [!late, late], wrong);
  }
});

Deno.test("A factory makes the machine once the stream has said what it is", async () => {
  await using pair = await Pair.create({ blocks: { low: 3, high: 5 } });
  const made: Machine[] = [];
  const target = new MachineTarget(async (configuration, blocks) => {
    const ram = Object.fromEntries(blocks.map(({ name, length }) => [name, length]));
    const machine = await Machine.create({ name: configuration.machine, ram });
    made.push(machine);
    return machine;
  });
  assertThrows(() => target.machine, StateError);
  const incoming = new IncomingMigration(target, { uri: ANY_PORT, ...settings() });
  const outgoing = new OutgoingMigration(new MachineSource(pair.source), {
    uri: await incoming.listening,
    ...settings(),
  });
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(made.length, 1);
  assert(target.machine.running);
  for (const name of ["low", "high"]) {
    assertEquals(contentOf(target.machine, name), contentOf(pair.source, name));
  }
  await target.machine[Symbol.asyncDispose]();
});

/** What the other side has, and what the message says. */
const STRANGERS: readonly (readonly [Parameters<typeof Machine.create>[0], string])[] = [
  [{ name: "other", ram: { ram: 65536 } }, 'of a machine "pair", this one is "other"'],
  [{ name: "pair", ram: { ram: 32768 } }, 'RAM block "ram" has 65536 bytes there and 32768 here'],
  [{ name: "pair", ram: { heap: 65536 } }, 'RAM block "ram", which this machine does not have'],
  [{ name: "pair", ram: { ram: 65536, more: 4096 } }, 'The stream has no RAM block "more"'],
  [
    { name: "pair", ram: { ram: 65536 }, vcpus: ["beat"] },
    "The stream has no state of vCPU 0",
  ],
];

for (const [options, message] of STRANGERS) {
  Deno.test(`IncomingMigration refuses another machine: ${message}`, async () => {
    await using pair = await Pair.create();
    await using stranger = await Machine.create(options);
    const incoming = new IncomingMigration(new MachineTarget(stranger), {
      uri: ANY_PORT,
      ...settings(),
    });
    const outgoing = pair.send(formatUri(await incoming.listening));
    await assertRejects(() => incoming.completed, IncompatibleError, message);
    await assertRejects(() => outgoing.completed);
    assert(pair.source.running);
    assert(!stranger.running);
  });
}
