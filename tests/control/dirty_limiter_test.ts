import { assert, assertEquals, assertThrows } from "@std/assert";
import { DirtyLimiter } from "../../src/control/dirty_limiter.ts";
import { DirtyLogTurns } from "../../src/control/dirty_log_turns.ts";
import { SettingError, StateError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import "../support/load_libc.ts";

async function make(log?: "hash") {
  const machine = await Machine.create({
    ...{ name: "m", ram: { ram: 1024 * 4096 } },
    vcpus: ["beat,rate=200M", "beat,rate=200M"],
  });
  await machine.start();
  const turns = new DirtyLogTurns();
  const limiter = new DirtyLimiter(machine, turns, log);
  limiter.limit.period = 30;
  const throttle = () => machine.vcpus.map((vcpu) => vcpu.order.throttle);
  return { machine, turns, limiter, throttle };
}

/** Looks after each turn of the event loop until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("DirtyLimiter slows a vCPU that writes too much, without any migration", async () => {
  const { machine, turns, limiter, throttle } = await make();
  await using _ = machine;
  limiter.set(1, 0);
  assertEquals(turns.free, false);
  await until(() => throttle()[0]! > 50);
  assertEquals(throttle()[1], 0);
  const [{ vcpu, limit, current }] = limiter.query() as [ReturnType<typeof limiter.query>[0]];
  assertEquals([vcpu, limit], [0, 1]);
  assert(current > 0);
  limiter.cancel();
  assertEquals(throttle(), [0, 0]);
  await until(() => turns.free);
  assertEquals(limiter.error, undefined);
});

Deno.test("DirtyLimiter goes on after a migration, which has the log meanwhile", async () => {
  const { machine, turns, limiter, throttle } = await make();
  await using _ = machine;
  limiter.set(1);
  await turns.beginMigration();
  limiter.limit.observe(1000 * 1024 ** 2, 1000);
  // By which vCPU has counted what by now.
  assertEquals(Math.max(...throttle()), 99);
  limiter.cancel();
  limiter.set(1, 1);
  turns.endMigration();
  assertEquals(turns.free, false);
  await until(() => throttle()[1]! > 0);
  await limiter[Symbol.asyncDispose]();
  assert(turns.free);
});

Deno.test("DirtyLimiter begins after a migration during which it was set", async () => {
  const { machine, turns, limiter, throttle } = await make();
  await using _ = machine;
  await turns.beginMigration();
  limiter.set(1);
  turns.endMigration();
  await until(() => throttle()[0]! > 0);
  limiter.set(0);
  await until(() => turns.free);
  // Set again at once: the reading that ends is followed by another.
  limiter.set(1);
  limiter.cancel();
  limiter.set(1);
  await until(() => throttle()[0]! > 0);
  await limiter[Symbol.asyncDispose]();
});

Deno.test("DirtyLimiter refuses what cannot be, and is inactive then", async () => {
  const { machine, turns, limiter } = await make();
  await using _ = machine;
  assertThrows(() => limiter.set(5, 7), StateError, "no vCPU 7");
  turns.borrow({ giveUp: () => Promise.resolve() });
  assertThrows(() => limiter.set(5), StateError, "in use");
  assertEquals(limiter.query(), []);
  const hashing = new DirtyLimiter(machine, new DirtyLogTurns(), "hash");
  assertThrows(() => hashing.set(5), SettingError, "without a migration");
});
