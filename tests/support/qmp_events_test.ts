import { assertEquals, assertRejects } from "@std/assert";
import { asQmpEvent, QmpEvents, UnexpectedStatusError } from "./qmp_events.ts";

/** Events with these statuses; names in capitals are other events. */
function eventsOf(...names: string[]): QmpEvents {
  const events = new QmpEvents();
  for (const name of names) push(events, name);
  return events;
}

function push(events: QmpEvents, name: string): void {
  const isStatus = name === name.toLowerCase();
  events.push(
    isStatus ? { event: "MIGRATION", data: { status: name } } : { event: name, data: {} },
  );
}

Deno.test("asQmpEvent() takes events and nothing else", () => {
  assertEquals(asQmpEvent({ event: "STOP", timestamp: {} }), { event: "STOP", data: {} });
  assertEquals(asQmpEvent({ return: {} }), undefined);
});

Deno.test("QmpEvents leaves out a status that is the current one", () => {
  const events = eventsOf("setup", "setup", "active", "STOP", "active", "setup");
  assertEquals(events.statuses, ["setup", "active", "setup"]);
  assertEquals(events.names, ["setup", "active", "STOP", "setup"]);
});

Deno.test("QmpEvents.waitForStatus() follows the statuses like a script", async () => {
  const events = eventsOf("setup", "active", "postcopy-active", "postcopy-paused");
  assertEquals(await events.waitForStatus("postcopy-active"), "postcopy-active");
  assertEquals(await events.waitForStatus("postcopy-paused", "completed"), "postcopy-paused");
  const again = events.waitForStatus("postcopy-active");
  push(events, "postcopy-recover");
  push(events, "postcopy-active");
  assertEquals(await again, "postcopy-active");
});

Deno.test("QmpEvents.waitForStatus() fails when the migration ends in another way", async () => {
  const events = eventsOf("setup");
  const waiting = assertRejects(
    () => events.waitForStatus("completed"),
    UnexpectedStatusError,
    "Migration status went setup, failed while waiting for completed",
  );
  push(events, "failed");
  await waiting;
  push(events, "setup"); // the next attempt
  push(events, "completed");
  assertEquals(await events.waitForStatus("completed"), "completed");
});

Deno.test("QmpEvents.skipStatuses() forgets how the last migration ended", async () => {
  const events = eventsOf("setup", "failed");
  events.skipStatuses();
  push(events, "setup");
  push(events, "active");
  assertEquals(await events.waitForStatus("active"), "active");
});

Deno.test("QmpEvents.waitForEvent() returns each event once", async () => {
  const events = eventsOf("STOP", "RESUME");
  await events.waitForEvent("RESUME");
  await events.waitForEvent("STOP"); // came before, but was not asked for yet
  events.end(new Error("gone"));
  await assertRejects(() => events.waitForEvent("STOP"), Error, "gone");
});

Deno.test("QmpEvents.waitForEvent() looks into the event", async () => {
  const events = new QmpEvents();
  for (const pass of [1, 2, 3]) events.push({ event: "MIGRATION_PASS", data: { pass } });
  const found = await events.waitForEvent("MIGRATION_PASS", ({ pass }) => Number(pass) >= 2);
  assertEquals(found.data, { pass: 2 });
});
