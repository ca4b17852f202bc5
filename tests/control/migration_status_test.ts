import { assert, assertEquals } from "@std/assert";
import {
  INCOMING,
  type IncomingEvent,
  isRunning,
  type MigrationStatus,
  nextStatus,
  OUTGOING,
  type OutgoingEvent,
} from "../../src/control/migration_status.ts";

/** Every status of QMP's enumeration that a migration here can have. */
const STATUSES: readonly MigrationStatus[] = [
  "none",
  "setup",
  "wait-unplug",
  "cancelling",
  "cancelled",
  "active",
  "postcopy-device",
  "postcopy-active",
  "postcopy-paused",
  "postcopy-recover-setup",
  "postcopy-recover",
  "completed",
  "failed",
  "pre-switchover",
  "device",
];
const OUTGOING_EVENTS: readonly OutgoingEvent[] = [
  "start",
  "take-up",
  "unplug-pending",
  "setup-done",
  "pause-before-switchover",
  "switchover",
  "package-sent",
  "destination-runs",
  "channel-lost",
  "resume",
  "resume-connected",
  "resume-acknowledged",
  "resume-failed",
  "done",
  "error",
  "cancel",
  "cleaned-up",
];
const INCOMING_EVENTS: readonly IncomingEvent[] = [
  "listen",
  "channels-complete",
  "listen-postcopy",
  "run",
  "channel-lost",
  "resume-connected",
  "resume-acknowledged",
  "resume-failed",
  "done",
  "error",
];

/** Follows events and says which statuses were passed. */
function walk<Event extends string>(
  table: Parameters<typeof nextStatus<Event>>[0],
  events: readonly Event[],
): string {
  const passed: MigrationStatus[] = [];
  let status: MigrationStatus = "none";
  for (const event of events) {
    const next: MigrationStatus | undefined = nextStatus(table, status, event);
    assert(next, `${status} does not allow ${event}`);
    passed.push(status = next);
  }
  return passed.join(" ");
}

const OUTGOING_JOURNEYS: readonly (readonly [string, string])[] = [
  ["start setup-done switchover done", "setup active device completed"],
  [
    "start setup-done pause-before-switchover switchover done",
    "setup active pre-switchover device completed",
  ],
  ["start unplug-pending setup-done switchover done", "setup wait-unplug active device completed"],
  ["start unplug-pending cancel cleaned-up", "setup wait-unplug cancelling cancelled"],
  ["start setup-done cancel cleaned-up", "setup active cancelling cancelled"],
  [
    "start setup-done pause-before-switchover cancel cleaned-up",
    "setup active pre-switchover cancelling cancelled",
  ],
  ["start error", "setup failed"],
  ["start error start", "setup failed setup"],
  ["start setup-done switchover error", "setup active device failed"],
  [
    "start setup-done switchover package-sent destination-runs done",
    "setup active device postcopy-device postcopy-active completed",
  ],
  [
    "start setup-done switchover package-sent destination-runs channel-lost resume resume-connected " +
    "resume-acknowledged done",
    "setup active device postcopy-device postcopy-active postcopy-paused postcopy-recover-setup " +
    "postcopy-recover postcopy-active completed",
  ],
];

for (const [events, statuses] of OUTGOING_JOURNEYS) {
  Deno.test(`OUTGOING: ${events}`, () => {
    assertEquals(walk(OUTGOING, events.split(" ") as OutgoingEvent[]), statuses);
  });
}

const INCOMING_JOURNEYS: readonly (readonly [string, string])[] = [
  ["listen channels-complete done", "setup active completed"],
  ["listen channels-complete error", "setup active failed"],
  ["listen error", "setup failed"],
  [
    "listen channels-complete listen-postcopy run channel-lost resume-connected resume-failed " +
    "resume-connected resume-acknowledged done",
    "setup active postcopy-device postcopy-active postcopy-paused postcopy-recover postcopy-paused " +
    "postcopy-recover postcopy-active completed",
  ],
];

for (const [events, statuses] of INCOMING_JOURNEYS) {
  Deno.test(`INCOMING: ${events}`, () => {
    assertEquals(walk(INCOMING, events.split(" ") as IncomingEvent[]), statuses);
  });
}

Deno.test("nextStatus() refuses everything that would run a machine twice or lose it", () => {
  const over = ["completed", "failed", "cancelled"] as const;
  for (const status of over) {
    for (const event of OUTGOING_EVENTS.filter((event) => event !== "start")) {
      assertEquals(nextStatus(OUTGOING, status, event), undefined, `${status} ${event}`);
    }
    for (const event of INCOMING_EVENTS) {
      assertEquals(nextStatus(INCOMING, status, event), undefined, `${status} ${event}`);
    }
  }
  // Once the destination may run, nobody gives the machine back by a cancel.
  for (const status of STATUSES.filter((status) => status.startsWith("postcopy"))) {
    assertEquals(nextStatus(OUTGOING, status, "cancel"), undefined, status);
  }
  // A machine that is half there and half here is neither failed nor complete.
  for (const status of ["postcopy-paused", "postcopy-recover-setup", "postcopy-recover"] as const) {
    for (const event of ["error", "done"] as const) {
      assertEquals(nextStatus(OUTGOING, status, event), undefined, status);
      assertEquals(nextStatus(INCOMING, status, event), undefined, status);
    }
  }
  // A second start is refused while one migration runs.
  for (const status of STATUSES.filter(isRunning)) {
    assertEquals(nextStatus(OUTGOING, status, "start"), undefined, status);
  }
});

/** Statuses that a table can be in, beginning with none. */
function reachable<Event extends string>(
  table: Parameters<typeof nextStatus<Event>>[0],
  events: readonly Event[],
): Set<MigrationStatus> {
  const seen = new Set<MigrationStatus>(["none"]);
  for (const status of seen) {
    for (const event of events) {
      const next: MigrationStatus | undefined = nextStatus(table, status, event);
      if (next) seen.add(next);
    }
  }
  return seen;
}

Deno.test("Every status that QMP knows is reached, and none is a dead end before the end", () => {
  const outgoing = reachable(OUTGOING, OUTGOING_EVENTS);
  const incoming = reachable(INCOMING, INCOMING_EVENTS);
  assertEquals(new Set([...outgoing, ...incoming]), new Set(STATUSES));
  for (const status of outgoing) {
    assert(OUTGOING_EVENTS.some((event) => nextStatus(OUTGOING, status, event)), status);
  }
  for (const status of [...incoming].filter((status) => isRunning(status))) {
    assert(INCOMING_EVENTS.some((event) => nextStatus(INCOMING, status, event)), status);
  }
});

Deno.test("Random events never lead out of the machine, and what is over stays over", () => {
  // A small generator, so that a failure can be run again.
  let seed = 20_240_229;
  const random = (below: number) => (seed = seed * 1_103_515_245 + 12_345 & 0x7fffffff) % below;
  for (let run = 0; run < 500; run++) {
    let status: MigrationStatus = "none";
    let handedOver = false;
    for (let step = 0; step < 40; step++) {
      const event = OUTGOING_EVENTS[random(OUTGOING_EVENTS.length)]!;
      const next: MigrationStatus | undefined = nextStatus(OUTGOING, status, event);
      if (!next) continue;
      assert(STATUSES.includes(next));
      if (event === "destination-runs") handedOver = true;
      if (event === "start") {
        assert(!isRunning(status), `${status} was started again`);
        handedOver = false;
      }
      if (handedOver) assert(next !== "cancelling" && next !== "cancelled", `${status} ${event}`);
      status = next;
    }
  }
});

Deno.test("isRunning() holds while another migration must not begin", () => {
  assertEquals(STATUSES.filter((status) => !isRunning(status)), [
    "none",
    "cancelled",
    "completed",
    "failed",
  ]);
});
