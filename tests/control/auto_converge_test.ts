import { assertEquals } from "@std/assert";
import { DirtyTrigger, nextThrottle } from "../../src/control/auto_converge.ts";
import { settings } from "./fixtures/pair.ts";

const { parameters } = settings();

/** Lets a trigger see syncs of [time, dirtied, transferred]. @returns What it says to each. */
function judge(syncs: readonly (readonly [number, number, number])[], changes = {}) {
  const trigger = new DirtyTrigger(0);
  return syncs.map(([now, dirtied, transferred]) => {
    const much = trigger.synced({ now, dirtied, transferred }, { ...parameters, ...changes });
    return much && [much.dirtied, much.allowed];
  });
}

Deno.test("DirtyTrigger fires when twice more was dirtied than half of what was sent", () => {
  assertEquals(
    judge([[1001, 51, 100], [2002, 51, 200], [3003, 51, 300], [4004, 51, 400]]),
    [undefined, [51, 50], undefined, [51, 50]],
  );
  assertEquals(
    judge([[1001, 50, 100], [2002, 50, 200], [3003, 50, 300]]),
    Array(3).fill(undefined),
  );
});

Deno.test("DirtyTrigger does not forget a bad period over good ones", () => {
  assertEquals(
    judge([[1001, 90, 100], [2002, 1, 200], [3003, 1, 300], [4004, 90, 400]]),
    [undefined, undefined, undefined, [90, 50]],
  );
});

Deno.test("DirtyTrigger judges over more than a second, however many syncs there are", () => {
  assertEquals(
    judge([[400, 30, 40], [1000, 30, 90], [1001, 30, 100], [1500, 30, 150], [2002, 30, 200]]),
    [undefined, undefined, undefined, undefined, [60, 50]],
  );
});

Deno.test("DirtyTrigger takes the threshold as it is now", () => {
  const changes = { "throttle-trigger-threshold": 100 };
  assertEquals(judge([[1001, 90, 100], [2002, 90, 200]], changes), [undefined, undefined]);
  assertEquals(judge([[1001, 190, 100], [2002, 190, 200]], changes), [undefined, [190, 100]]);
});

Deno.test("DirtyTrigger wants a look every five seconds, after the first round", () => {
  const trigger = new DirtyTrigger(0);
  const sync = (now: number) => trigger.synced({ now, dirtied: 0, transferred: 0 }, parameters);
  sync(0);
  assertEquals(trigger.wantsSync(60_000), false);
  sync(60_000);
  assertEquals([trigger.wantsSync(64_999), trigger.wantsSync(65_000)], [false, true]);
  sync(65_000);
  assertEquals(trigger.wantsSync(69_000), false);
});

Deno.test("nextThrottle() begins, grows and ends as the parameters say", () => {
  const much = { dirtied: 100, allowed: 50 };
  const set = { ...parameters, "cpu-throttle-initial": 30, "cpu-throttle-increment": 25 };
  const steps = [0];
  for (let i = 0; i < 5; i++) steps.push(nextThrottle(steps.at(-1)!, much, set));
  assertEquals(steps, [0, 30, 55, 80, 99, 99]);
  assertEquals(nextThrottle(80, much, { ...set, "max-cpu-throttle": 85 }), 85);
});

Deno.test("nextThrottle() with a slow tail takes no more than what would be enough", () => {
  const set = { ...parameters, "cpu-throttle-tailslow": true, "cpu-throttle-increment": 10 };
  // Half of the 80 percent that the guest has would do: the increment is less.
  assertEquals(nextThrottle(20, { dirtied: 100, allowed: 50 }, set), 30);
  // A twentieth less would do.
  assertEquals(nextThrottle(20, { dirtied: 100, allowed: 95 }, set), 24);
  assertEquals(nextThrottle(0, { dirtied: 100, allowed: 95 }, set), 20);
});
