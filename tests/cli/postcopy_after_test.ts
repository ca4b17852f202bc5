import { assertEquals } from "@std/assert";
import { startPostcopyAfter } from "../../src/cli/postcopy_after.ts";

/** What is told to start, and when it has been. */
function migration() {
  const started = Promise.withResolvers<void>();
  const completed = Promise.withResolvers<never>();
  let starts = 0;
  const startPostcopy = () => {
    starts++;
    started.resolve();
  };
  return {
    ...{ startPostcopy, completed: completed.promise, started: started.promise },
    end: () => completed.reject(new Error("It failed")),
    get starts() {
      return starts;
    },
  };
}

Deno.test("startPostcopyAfter() starts postcopy at once, after a while, or never", async () => {
  const atOnce = migration();
  using _atOnce = startPostcopyAfter(atOnce, 0);
  assertEquals(atOnce.starts, 1);
  const never = migration();
  using _never = startPostcopyAfter(never, undefined);
  const later = migration();
  using _later = startPostcopyAfter(later, 5);
  assertEquals(later.starts, 0);
  await later.started;
  assertEquals([later.starts, never.starts], [1, 0]);
});

Deno.test("startPostcopyAfter() leaves no timer behind", async () => {
  const over = migration();
  startPostcopyAfter(over, 1000);
  over.end();
  await over.completed.catch(() => {});
  const given = migration();
  {
    using _given = startPostcopyAfter(given, 1000);
  }
  assertEquals([over.starts, given.starts], [0, 0]);
});
