import { assert, assertEquals } from "@std/assert";
import {
  expectedDowntimeMs,
  isStuck,
  mayFit,
  type RoundFacts,
  shouldSwitchOver,
} from "../../src/control/convergence.ts";

const MIB = 1024 ** 2;

function facts(changes: Partial<RoundFacts>): RoundFacts {
  return {
    remaining: 0,
    remainingBefore: undefined,
    stuck: false,
    bandwidth: MIB,
    downtimeLimitMs: 300,
    ...changes,
  };
}

Deno.test("expectedDowntimeMs() is what the rest takes at the measured bandwidth", () => {
  assertEquals(expectedDowntimeMs(facts({ remaining: 0, bandwidth: 0 })), 0);
  assertEquals(expectedDowntimeMs(facts({ remaining: 1, bandwidth: 0 })), Infinity);
  assertEquals(expectedDowntimeMs(facts({ remaining: 30 * MIB })), 30);
});

Deno.test("shouldSwitchOver() at once when nothing is dirty, even before anything was measured", () => {
  assert(shouldSwitchOver(facts({ remaining: 0, bandwidth: 0, downtimeLimitMs: 0 })));
});

Deno.test("shouldSwitchOver() goes on while the bandwidth is unknown", () => {
  assert(!shouldSwitchOver(facts({ remaining: 4096, bandwidth: 0 })));
});

Deno.test("shouldSwitchOver() never goes over the downtime limit", () => {
  for (const remaining of [301, 1000, 10 ** 6]) {
    for (const before of [undefined, 1, remaining, 10 * remaining]) {
      assert(
        !shouldSwitchOver(facts({
          remaining: remaining * MIB,
          remainingBefore: before && before * MIB,
        })),
      );
    }
  }
});

Deno.test("shouldSwitchOver() uses the limit only when further rounds bring little", () => {
  const rest = { remaining: 100 * MIB };
  assert(!shouldSwitchOver(facts(rest)), "the first round says nothing of the next");
  assert(!shouldSwitchOver(facts({ ...rest, remainingBefore: 201 * MIB })));
  assert(shouldSwitchOver(facts({ ...rest, remainingBefore: 199 * MIB })));
  assert(shouldSwitchOver(facts({ ...rest, remainingBefore: 50 * MIB })));
});

Deno.test("isStuck() says that a rest does not fit and hardly gets less", () => {
  const rest = { remaining: 400 * MIB };
  assert(isStuck(facts({ ...rest, remainingBefore: 400 * MIB })));
  assert(isStuck(facts({ ...rest, remainingBefore: 799 * MIB })));
  assert(!isStuck(facts({ ...rest, remainingBefore: 801 * MIB })), "it gets less");
  assert(!isStuck(facts({ ...rest, remainingBefore: 400 * MIB, downtimeLimitMs: 400 })), "it fits");
  assert(!isStuck(facts(rest)), "the first round says nothing of the next");
});

Deno.test("mayFit() is whether the limit is enough for what is known to be dirty", () => {
  assert(mayFit(facts({ remaining: 300 * MIB })));
  assert(!mayFit(facts({ remaining: 301 * MIB })));
  assert(!mayFit(facts({ remaining: 1, bandwidth: 0 })));
});

Deno.test("shouldSwitchOver() takes the first chance when rounds were stuck", () => {
  const chance = { remaining: 100 * MIB, remainingBefore: 1000 * MIB };
  assert(!shouldSwitchOver(facts(chance)));
  assert(shouldSwitchOver(facts({ ...chance, stuck: true })));
  assert(!shouldSwitchOver(facts({ ...chance, remaining: 301 * MIB, stuck: true })));
});

Deno.test("shouldSwitchOver() ends any sequence of rounds that shrink", () => {
  let remaining = 1024 * MIB;
  let remainingBefore: number | undefined;
  for (let rounds = 0;; rounds++) {
    assert(rounds < 20);
    if (shouldSwitchOver(facts({ remaining, remainingBefore }))) break;
    remainingBefore = remaining;
    remaining = Math.floor(remaining * 0.45);
  }
});

Deno.test("shouldSwitchOver() with a limit of 0 waits until nothing worth mentioning is left", () => {
  const limit = { downtimeLimitMs: 0, remainingBefore: 50 * MIB };
  assert(!shouldSwitchOver(facts({ ...limit, remaining: 50 * MIB })));
  assert(shouldSwitchOver(facts({ ...limit, remaining: MIB })));
});
