import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IncomingMigration } from "../../src/control/incoming.ts";
import type { IncomingTarget } from "../../src/control/incoming_target.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import {
  CancelledError,
  HandoverUnknownError,
  IncompatibleError,
  PeerFailedError,
  StateError,
} from "../../src/errors.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { Pair, settings } from "./fixtures/pair.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");

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
  assertEquals(incoming.info(), { status: "failed", "error-desc": error.explanation });
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
