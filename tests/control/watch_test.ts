import { assertEquals } from "@std/assert";
import type { MigrationInfo } from "../../src/control/migration_info.ts";
import { watch } from "../../src/control/watch.ts";

for (const end of ["resolve", "reject"] as const) {
  Deno.test(`watch() looks again and again, and a last time when it is over (${end})`, async () => {
    const completed = Promise.withResolvers<void>();
    let looks = 0;
    const migration = {
      completed: completed.promise,
      info: (): MigrationInfo => {
        if (++looks === 3) completed[end](undefined);
        return { status: looks < 4 ? "active" : "failed", "total-time": looks };
      },
    };
    const seen = await Array.fromAsync(watch(migration, 1));
    assertEquals(seen.map((info) => info.status), ["active", "active", "active", "failed"]);
  });
}

Deno.test("watch() leaves no timer behind when it is left early", async () => {
  const migration = { completed: new Promise(() => {}), info: (): MigrationInfo => ({}) };
  for await (const _ of watch(migration, 1)) break;
});
