import { assert, assertEquals, assertThrows } from "@std/assert";
import { AnnouncedStatus } from "../../src/control/announced_status.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { OUTGOING, type OutgoingEvent } from "../../src/control/migration_status.ts";
import { type MigrationError, StateError } from "../../src/errors.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { Events } from "./fixtures/events.ts";
import { Pair } from "./fixtures/pair.ts";

Deno.test("AnnouncedStatus announces each step, and refuses what may not happen", () => {
  const heard = new Events();
  const failures: MigrationError[] = [];
  const status = new AnnouncedStatus<OutgoingEvent>({
    ...{ table: OUTGOING, who: "A migration", onEvent: heard.on },
    onListenerFailure: (error) => failures.push(error),
  });
  assertEquals([status.now, status.allows("start"), status.allows("done")], ["none", true, false]);
  assertThrows(() => status.move("done"), StateError, "A migration that is none cannot done");
  status.move("start");
  status.emit({ event: "STOP" });
  assertEquals([status.now, heard.statuses], ["setup", "setup STOP"]);
  assertEquals(failures, []);
});

Deno.test("AnnouncedStatus goes on when a listener throws, and says so", () => {
  const failures: MigrationError[] = [];
  const status = new AnnouncedStatus<OutgoingEvent>({
    ...{ table: OUTGOING, who: "A migration" },
    onEvent: () => {
      throw new RangeError("I do not listen");
    },
    onListenerFailure: (error) => failures.push(error),
  });
  status.move("start");
  assertEquals(status.now, "setup");
  assertEquals(failures.map(({ what }) => what), ["RangeError: I do not listen"]);
});

Deno.test("A listener that throws ends the migration, not the machine", async () => {
  for (const wrong of ["setup", "active", "STOP", "device", "cancelling", "completed"]) {
    await using pair = await Pair.create();
    const incoming = pair.receive();
    const outgoing = pair.send(formatUri(await incoming.listening), {
      onEvent: (event) => {
        const name = event.event === "MIGRATION" ? event.data.status : event.event;
        if (name === wrong) throw new RangeError(`I do not like ${name}`);
      },
    });
    const [source] = await Promise.allSettled([
      outgoing.completed,
      // What did not begin is not waited for.
      wrong === "setup" ? incoming.cancel() : incoming.completed,
    ]);
    await Promise.allSettled([incoming.completed]);
    if (wrong === "completed" || wrong === "cancelling") {
      assertEquals(source.status, "fulfilled", wrong);
      assertEquals([pair.source.running, pair.destination.running], [false, true], wrong);
    } else {
      assert(source.status === "rejected" && String(source.reason).includes("I do not like"));
      assertEquals([pair.source.running, pair.destination.running], [true, false], wrong);
    }
  }
});

Deno.test("A listener that throws ends the migration before the takeover, and not after it", async () => {
  const names = ["setup", "active", "RESUME", "completed"];
  for (const wrong of names) {
    await using pair = await Pair.create();
    const incoming = pair.receive({
      onEvent: (event: MigrationEvent) => {
        const name = event.event === "MIGRATION" ? event.data.status : event.event;
        if (name === wrong) throw new RangeError(`I do not like ${name}`);
      },
    });
    const uri = await incoming.listening;
    const outgoing = pair.send(formatUri(uri));
    const [source, destination] = await Promise.allSettled([
      outgoing.completed,
      incoming.completed,
    ]);
    const late = wrong === "RESUME" || wrong === "completed";
    assertEquals(destination.status, late ? "fulfilled" : "rejected", wrong);
    assertEquals(source.status, late ? "fulfilled" : "rejected", wrong);
    assertEquals([pair.source.running, pair.destination.running], [!late, late], wrong);
  }
});
