import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { CancelledError, TransportError } from "../../src/errors.ts";
import { type Settle, waitFor } from "../../src/transport/wait.ts";

/** Something to wait for, which the test ends; `undone` counts. */
class Begun {
  undone = 0;
  settle: Settle<string> | undefined;
  readonly begin = (settle: Settle<string>) => {
    this.settle = settle;
    return () => void this.undone++;
  };
}

Deno.test("waitFor() gives what was waited for, and undoes nothing", async () => {
  const begun = new Begun();
  const controller = new AbortController();
  const wait = waitFor("Waiting", { signal: controller.signal, timeoutMs: 1e6 }, begun.begin);
  begun.settle?.resolve("here");
  controller.abort(); // too late: what is here belongs to the caller
  assertEquals(await wait, "here");
  assertEquals(begun.undone, 0);
});

Deno.test("waitFor() passes a failure on", async () => {
  const begun = new Begun();
  const wait = waitFor("Waiting", {}, begun.begin);
  begun.settle?.reject(new RangeError("no"));
  await assertRejects(() => wait, RangeError, "no");
  assertEquals(begun.undone, 0);
});

Deno.test("waitFor() undoes once and throws CancelledError when the signal is aborted", async () => {
  const begun = new Begun();
  const controller = new AbortController();
  const wait = waitFor("Waiting", { signal: controller.signal }, begun.begin);
  const why = new Error("why");
  controller.abort(why);
  const error = await assertRejects(() => wait, CancelledError, "Waiting was cancelled");
  assertStrictEquals(error.cause, why);
  begun.settle?.resolve("late");
  assertEquals(begun.undone, 1);
});

Deno.test("waitFor() begins nothing when the signal was aborted before", async () => {
  const begun = new Begun();
  const wait = waitFor("Waiting", { signal: AbortSignal.abort() }, begun.begin);
  await assertRejects(() => wait, CancelledError);
  assertEquals(begun.settle, undefined);
});

Deno.test("waitFor() undoes once and throws TransportError when the time is up", async () => {
  const begun = new Begun();
  const wait = waitFor("Waiting", { timeoutMs: 1 }, begun.begin);
  await assertRejects(() => wait, TransportError, "Waiting: nothing within 1 ms");
  assertEquals(begun.undone, 1);
});
