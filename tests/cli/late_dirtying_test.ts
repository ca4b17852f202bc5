import { assertEquals, assertThrows } from "@std/assert";
import { lateDirtying } from "../../src/cli/late_dirtying.ts";
import { MachineDirtying } from "../../src/control/machine_dirtying.ts";
import { StateError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import "../support/load_libc.ts";

const SAMPLING = { calcTime: 50, mode: "page-sampling", samplePages: 512 } as const;

Deno.test("lateDirtying measures and limits nothing before the machine is there, and then its own", async () => {
  await using machine = await Machine.create({
    name: "late",
    ram: { ram: 64 * 4096 },
    vcpus: ["beat"],
  });
  await using dirtying = new MachineDirtying(machine);
  const place: { dirtying?: MachineDirtying } = {};
  const { rate, limiter } = lateDirtying(() => place.dirtying);
  assertThrows(() => rate.calculate(SAMPLING), StateError, "has not arrived");
  assertThrows(() => limiter.set(5), StateError, "has not arrived");
  limiter.cancel();
  assertEquals([rate.query().status, limiter.query()], ["unstarted", []]);
  place.dirtying = dirtying;
  await machine.start();
  rate.calculate(SAMPLING);
  assertEquals(rate.query().status, "measuring");
  limiter.set(5);
  assertEquals(limiter.query().map(({ limit }) => limit), [5]);
  limiter.cancel();
  assertEquals(limiter.query(), []);
  await dirtying.rate.measured;
  assertEquals(rate.query().status, "measured");
});
