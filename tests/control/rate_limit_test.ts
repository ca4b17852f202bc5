import { assert, assertEquals } from "@std/assert";
import { RateLimit } from "../../src/control/rate_limit.ts";

/** A sender that sends pieces of a size whenever something is left, and looks every few milliseconds. */
function simulate(
  { rate, piece, step, milliseconds }: Record<"rate" | "piece" | "step" | "milliseconds", number>,
): number {
  const limit = new RateLimit(0);
  let sent = 0;
  for (let now = 0; now < milliseconds; now += step) {
    while (limit.allowance(rate, now, sent) > 0) sent += piece;
  }
  return sent;
}

Deno.test("RateLimit keeps a rate, whatever the pieces and however often it is asked", () => {
  for (const rate of [1000, 40_960, 1_000_000, 123_456_789]) {
    for (const piece of [1, 4096, 524_288].filter((piece) => piece <= rate)) {
      for (const step of [1, 33, 100, 250]) {
        if (rate / piece > 1_000_000) continue;
        const sent = simulate({ rate, piece, step, milliseconds: 10_000 });
        const what = `${rate} in pieces of ${piece} every ${step} ms: ${sent / 10}`;
        // Never more than the rate and one piece and one slice; never less than half of it.
        assert(sent <= rate * 10.1 + piece, what);
        assert(sent >= rate * 10 / 2.5 - piece, what);
      }
    }
  }
});

Deno.test("RateLimit lets something pass below a page in a slice", () => {
  // 10 KiB a second are a quarter of a page in a slice.
  assertEquals(simulate({ rate: 10_240, piece: 4096, step: 10, milliseconds: 20_000 }), 204_800);
});

Deno.test("RateLimit.allowance() is infinite without a limit, and owes nothing afterwards", () => {
  const limit = new RateLimit(0);
  assertEquals(limit.allowance(0, 5000, 10 ** 10), Infinity);
  assertEquals(limit.allowance(1000, 5000, 10 ** 10), 100);
  assertEquals(limit.allowance(1000, 5050, 10 ** 10 + 60), 40);
});

Deno.test("RateLimit.allowance() does not save up what was not used", () => {
  const limit = new RateLimit(0);
  assertEquals(limit.allowance(1000, 60_000, 0), 100);
});

Deno.test("RateLimit.allowance() forgets a debt after some time", () => {
  const limit = new RateLimit(0);
  assertEquals(limit.allowance(1000, 0, 1_000_000), -999_900);
  assert(limit.allowance(1000, 100, 1_000_000) <= 0);
  assert(limit.allowance(1000, 2000, 1_000_000) > 0);
});

Deno.test("RateLimit.allowance() follows a rate that changes", () => {
  const limit = new RateLimit(0);
  assertEquals(limit.allowance(1000, 0, 0), 100);
  assertEquals(limit.allowance(5000, 10, 0), 500);
  assertEquals(limit.allowance(500, 20, 0), 50);
});

Deno.test("RateLimit.untilNextSlice() is at most a slice and never negative", () => {
  const limit = new RateLimit(1000);
  assertEquals(limit.untilNextSlice(1000), 100);
  assertEquals(limit.untilNextSlice(1099), 1);
  assertEquals(limit.untilNextSlice(1000.4), 100, "a timer must not end within the slice");
  assertEquals(limit.untilNextSlice(5000), 0);
});

Deno.test("RateLimit makes up for what was tolerated", () => {
  const limit = new RateLimit(0);
  const tolerance = limit.tolerance(1000);
  assertEquals(tolerance, 500);
  let sent = limit.allowance(1000, 0, 0) + tolerance;
  for (let now = 0; now < 10_000; now += 10) {
    if (limit.allowance(1000, now, sent) > 0) sent += 10;
  }
  assert(sent <= 10_100 && sent >= 9_900, `${sent}`);
});
