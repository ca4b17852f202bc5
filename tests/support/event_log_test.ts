import { assertEquals, assertRejects } from "@std/assert";
import { EventLog, PatienceError, withPatience } from "./event_log.ts";

Deno.test("EventLog.wait() finds what is there and what comes", async () => {
  const log = new EventLog<number>();
  log.push(1);
  log.push(2);
  assertEquals(await log.wait((n) => n > 0, { what: "a number" }), 0);
  assertEquals(await log.wait((n) => n > 0, { what: "a number", from: 1 }), 1);
  const waiting = log.wait((n) => n > 2, { what: "a larger number" });
  log.push(0);
  log.push(3);
  assertEquals(await waiting, 3);
  assertEquals(log.entries, [1, 2, 0, 3]);
});

Deno.test("EventLog.end() fails who waits in vain, now and later, but not who asks for the past", async () => {
  const log = new EventLog<number>();
  log.push(1);
  const waiting = assertRejects(() => log.wait((n) => n === 2, { what: "2" }), Error, "gone");
  log.end(new Error("gone"));
  log.end(new Error("second reason"));
  await waiting;
  await assertRejects(() => log.wait((n) => n === 2, { what: "2" }), Error, "gone");
  assertEquals(await log.wait((n) => n === 1, { what: "1" }), 0);
});

Deno.test("EventLog.wait() says what it waited for when patience ends", async () => {
  const log = new EventLog<number>();
  await assertRejects(
    () => log.wait(() => true, { what: "godot", patienceMs: 1 }),
    PatienceError,
    "Waited 1 ms in vain for godot",
  );
});

Deno.test("withPatience() passes results and errors on, and does not wait for ever", async () => {
  assertEquals(await withPatience(Promise.resolve(7), "seven"), 7);
  await assertRejects(
    () => withPatience(Promise.reject(new TypeError("no")), "it"),
    TypeError,
    "no",
  );
  await assertRejects(
    () => withPatience(new Promise(() => {}), "nothing", 1),
    PatienceError,
    "Waited 1 ms in vain for nothing",
  );
});
