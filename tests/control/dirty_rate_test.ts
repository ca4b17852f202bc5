import { assert, assertEquals, assertThrows } from "@std/assert";
import { DirtyLogTurns } from "../../src/control/dirty_log_turns.ts";
import { DirtyRate } from "../../src/control/dirty_rate.ts";
import { SettingError, StateError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import "../support/load_libc.ts";

async function make(vcpus: string[] = []) {
  const machine = await Machine.create({ name: "m", ram: { ram: 2048 * 4096 }, vcpus });
  const turns = new DirtyLogTurns();
  return { machine, turns, rate: new DirtyRate(machine, turns) };
}

for (const mode of ["page-sampling", "dirty-bitmap"] as const) {
  Deno.test(`DirtyRate measures by ${mode}`, async () => {
    const { machine, turns, rate } = await make();
    await using _ = machine;
    assertEquals(rate.query().status, "unstarted");
    rate.calculate({ calcTime: 60, mode, samplePages: 16384 });
    assertEquals(rate.query().status, "measuring");
    assertThrows(
      () => rate.calculate({ calcTime: 60, mode, samplePages: 512 }),
      StateError,
      "already",
    );
    await rate.measured;
    const still = rate.query();
    assertEquals([still.status, still.rate], ["measured", 0]);
    assert(Math.abs(still.startTime - Date.now() / 1000) < 600);

    rate.calculate({ calcTime: 60, mode, samplePages: 16384 });
    // It has taken its samples, or started its log, when it waits for the time to pass.
    const writing = setInterval(() => {
      for (let page = 0; page < 2048; page += 2) machine.ram.blocks[0]!.view(page * 4096, 1)[0]!++;
    }, 1);
    await rate.measured;
    clearInterval(writing);
    const { rate: measured } = rate.query();
    // 4 MiB in 60 ms or somewhat more; samples are a guess.
    assert(measured! > 0 && measured! < 110, `${measured}`);
    assert(turns.free);
  });
}

Deno.test("DirtyRate by the log begins with clean pages and leaves the log to the next", async () => {
  const { machine, turns, rate } = await make(["beat,rate=100M"]);
  await using _ = machine;
  await machine.start();
  for (let i = 0; i < 2; i++) {
    rate.calculate({ calcTime: 100, mode: "dirty-bitmap", samplePages: 512 });
    assertThrows(() => turns.borrow({ giveUp: () => Promise.resolve() }), StateError);
    await rate.measured;
    assert(rate.query().rate! > 0);
  }
});

Deno.test("DirtyRate is given up for a migration", async () => {
  const { machine, turns, rate } = await make();
  await using _ = machine;
  rate.calculate({ calcTime: 60_000, mode: "dirty-bitmap", samplePages: 512 });
  await turns.beginMigration();
  assertEquals(rate.query().status, "unstarted");
  assertThrows(
    () => rate.calculate({ calcTime: 60, mode: "dirty-bitmap", samplePages: 512 }),
    StateError,
    "migration",
  );
  // Samples need no log.
  rate.calculate({ calcTime: 60, mode: "page-sampling", samplePages: 512 });
  await rate.measured;
  assertEquals(rate.query().status, "measured");
});

Deno.test("DirtyRate can be cancelled", async () => {
  const { machine, rate } = await make();
  await using _ = machine;
  await rate.cancel();
  rate.calculate({ calcTime: 60_000, mode: "page-sampling", samplePages: 512 });
  await rate.cancel();
  assertEquals(rate.query().status, "unstarted");
});

Deno.test("DirtyRate refuses dirty-ring, digests as a log, and a machine that is arriving", async () => {
  const { machine, turns, rate } = await make();
  await using _ = machine;
  const options = { calcTime: 60, samplePages: 512 };
  assertThrows(() => rate.calculate({ ...options, mode: "dirty-ring" }), SettingError, "KVM");
  const hashing = new DirtyRate(machine, turns, "hash");
  assertThrows(
    () => hashing.calculate({ ...options, mode: "dirty-bitmap" }),
    SettingError,
    "without a migration",
  );
  await turns.beginArrival();
  assertThrows(
    () => rate.calculate({ ...options, mode: "page-sampling" }),
    StateError,
    "arriving",
  );
  turns.endMigration();
  assert(turns.free);
});
