import { assertEquals, assertRejects } from "@std/assert";
import { inTime } from "../../src/control/in_time.ts";

Deno.test("inTime() gives what comes in time, and ends what does not", async () => {
  let given = 0;
  assertEquals(await inTime(60_000, Promise.resolve(7), () => given++), 7);
  const { promise, reject } = Promise.withResolvers<never>();
  await assertRejects(
    () =>
      inTime(1, promise, () => {
        given++;
        reject(new RangeError("given up"));
      }),
    RangeError,
    "given up",
  );
  assertEquals(given, 1);
});
