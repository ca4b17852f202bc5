import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describeGuest, guestSpecs } from "../../src/cli/guests.ts";
import { UsageError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";

const nothing = { dirtyRate: undefined, seed: undefined };

Deno.test("guestSpecs() gives rate and seed to the built-in guests, the rate shared among them", () => {
  const [beat, stress] = guestSpecs(["beat", "stress"], { dirtyRate: 2_000_000, seed: 7 });
  assertEquals(beat, { kind: "beat", rate: 1_000_000 });
  assertEquals(stress?.kind === "stress" && [stress.rate, stress.seed], [1_000_000, 7]);
});

Deno.test("guestSpecs() leaves SPECs and guests of the user's as they are", () => {
  assertEquals(guestSpecs(["beat,rate=5M"], nothing), [{ kind: "beat", rate: 5 * 1024 ** 2 }]);
  const [room] = guestSpecs(["./room.ts,level=3"], { dirtyRate: 1, seed: 1 });
  assertEquals(room?.kind === "module" && room.options, { level: "3" });
  assertThrows(() => guestSpecs(["nobody"], nothing), UsageError);
});

Deno.test("describeGuest() says whether a guest works", async () => {
  await using machine = await Machine.create({
    name: "m",
    ram: { ram: 16 * 4096 },
    vcpus: ["beat"],
  });
  assertMatch(await describeGuest(machine), /stands still here \(prelaunch\)/);
  await machine.start();
  assertMatch(await describeGuest(machine), /runs on here: [1-9]\d* pages/);
  await machine.stop();
  assertMatch(await describeGuest(machine), /stands still here \(paused\)/);
});
