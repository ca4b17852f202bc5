import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type ArrivingMigration,
  MigratableMachine,
  type Migration,
} from "../../src/control/migratable_machine.ts";
import { CancelledError, TransportError, UsageError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { until } from "../machine/fixtures/until.ts";
import "../support/load_libc.ts";

const options = { name: "room", ram: { heap: 256 * 4096 }, vcpus: ["beat"] };

async function uriOf(incoming: ArrivingMigration): Promise<string> {
  return formatUri(await incoming.listening);
}

Deno.test("Machine.migrate() moves a machine; for await looks at it until the end", async () => {
  await using here = await MigratableMachine.create(options);
  await using there = await MigratableMachine.create(options);
  await here.start();
  const incoming = there.incoming("tcp:127.0.0.1:0");
  const migration = here.migrate(await uriOf(incoming));
  const statuses: unknown[] = [];
  for await (const info of migration) statuses.push(info.status);
  assertEquals(statuses.at(-1), "completed");
  assertEquals((await migration.completed).status, "completed");
  assertEquals((await incoming.completed).status, "completed");
  assert(there.running && !here.running);
  await there.stop();
  assertEquals(await verifyRam(there), undefined);

  // And back again.
  await there.start();
  const back = here.incoming("tcp:127.0.0.1:0");
  await there.migrate(await uriOf(back)).completed;
  await back.completed;
  assert(here.running);
  await here.stop();
  assertEquals(await verifyRam(here), undefined);
});

Deno.test("Machine.migrate() is cancelled by its signal, at any moment; the machine runs on", async () => {
  await using here = await MigratableMachine.create(options);
  await using there = await MigratableMachine.create(options);
  await here.start();
  const early = here.migrate("tcp:127.0.0.1:1", { signal: AbortSignal.abort() });
  await assertRejects(() => early.completed, CancelledError);

  const incoming = there.incoming("tcp:127.0.0.1:0");
  const abort = new AbortController();
  const migration = here.migrate(await uriOf(incoming), {
    parameters: { "max-bandwidth": 100_000 },
    signal: abort.signal,
    onEvent: (event) => {
      if (event.event === "MIGRATION" && event.data.status === "active") abort.abort();
    },
  });
  await assertRejects(() => migration.completed, CancelledError);
  assertEquals(migration.status, "cancelled");
  await assertRejects(() => incoming.completed);
  assert(here.running);
  abort.abort(); // too late, and of no effect
});

Deno.test("Machine.migrate() rejects with a typed error, and the machine runs on", async () => {
  await using here = await MigratableMachine.create(options);
  await here.start();
  const migration = here.migrate("unix:/nonexistent/socket");
  await assertRejects(() => migration.completed, TransportError);
  assertEquals(migration.info().status, "failed");
  assert(here.running);
  assertThrows(() => here.migrate("nonsense"), UsageError);
});

Deno.test("Machine.incoming() is cancelled by its signal", async () => {
  await using there = await MigratableMachine.create(options);
  const abort = new AbortController();
  const incoming = there.incoming("tcp:127.0.0.1:0", { signal: abort.signal });
  await incoming.listening;
  abort.abort();
  await assertRejects(() => incoming.completed, CancelledError);
});

Deno.test("Machine.migrate() in postcopy: runs there first, is paused, and goes on over another connection", async () => {
  await using here = await MigratableMachine.create(options);
  await using there = await MigratableMachine.create(options);
  await here.start();
  const settings = {
    capabilities: { "postcopy-ram": true },
    parameters: { "max-postcopy-bandwidth": 100_000 },
  };
  const incoming = there.incoming("tcp:127.0.0.1:0", settings);
  const migration = here.migrate(await uriOf(incoming), settings);
  await reaches(migration, "setup", "active");
  migration.startPostcopy();
  await reaches(incoming, "postcopy-active");
  await reaches(migration, "postcopy-active");
  await until(() => there.running);
  migration.pause();
  await reaches(migration, "postcopy-paused");
  await reaches(incoming, "postcopy-paused");
  here.control.setParameters({ "max-postcopy-bandwidth": 0 });
  await migration.resume(formatUri(await incoming.recover("tcp:127.0.0.1:0")));
  await Promise.all([migration.completed, incoming.completed]);
  await there.stop();
  assertEquals(await verifyRam(there), undefined);
});

async function reaches(migration: Migration, ...statuses: string[]): Promise<void> {
  while (!statuses.includes(migration.status)) {
    if (migration.status === "failed") await migration.completed;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
