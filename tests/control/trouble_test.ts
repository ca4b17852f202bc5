import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { CancelledError, ConnectionLostError } from "../../src/errors.ts";
import { Trouble } from "../../src/control/trouble.ts";

const first = new ConnectionLostError("The first failure");
const second = new CancelledError("The second failure");

Deno.test("Trouble.report() counts the first failure only", () => {
  const trouble = new Trouble();
  trouble.check();
  trouble.report(first);
  trouble.report(second);
  assertStrictEquals(trouble.error, first);
  assertThrows(trouble.check, ConnectionLostError, "The first failure");
});

Deno.test("Trouble tells every listener, once, in order", () => {
  const trouble = new Trouble();
  const told: number[] = [];
  trouble.onFailure(() => told.push(1));
  trouble.onFailure(() => told.push(2));
  trouble.report(first);
  trouble.report(second);
  assertEquals(told, [1, 2]);
});

Deno.test("Trouble.guard() gives what it waits for when nothing fails", async () => {
  const trouble = new Trouble();
  assertEquals(await trouble.guard(Promise.resolve(5)), 5);
  await assertRejects(() => trouble.guard(Promise.reject(second)), CancelledError);
  trouble.check();
});

Deno.test("Trouble.guard() does not wait beyond a failure", async () => {
  const trouble = new Trouble();
  const never = trouble.guard(new Promise(() => {}));
  const neither = trouble.guard(new Promise(() => {}));
  trouble.report(first);
  assertStrictEquals(await assertRejects(() => never), first);
  assertStrictEquals(await assertRejects(() => neither), first);
});

Deno.test("Trouble.guard() refuses to begin after a failure, and what it was given fails unheard", async () => {
  const trouble = new Trouble();
  trouble.report(first);
  assertStrictEquals(
    await assertRejects(() => trouble.guard(Promise.reject(new Error("Unheard")))),
    first,
  );
});

Deno.test("Trouble.guard() leaves nothing behind that a later failure would reject", async () => {
  const trouble = new Trouble();
  for (let i = 0; i < 1000; i++) await trouble.guard(Promise.resolve(i));
  trouble.report(first);
  // An unhandled rejection would fail this test.
  await new Promise((resolve) => setTimeout(resolve));
});
