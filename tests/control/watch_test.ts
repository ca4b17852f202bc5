import { assertEquals } from "@std/assert";
import { mock } from "@std/testing";
import type { MigrationInfo } from "../../src/control/migration_info.ts";
import { watch } from "../../src/control/watch.ts";

for (const end of ["resolve", "reject"] as const) {
  Deno.test(`watch() looks again and again, and a last time when it is over (${end})`, async () => {
    const completed = Promise.withResolvers<void>();
    const info = mock.fn((): MigrationInfo => {
      const looks = info.mock.callCount() + 1;
      if (looks === 3) completed[end](undefined);
      return { status: looks < 4 ? "active" : "failed" };
    });
    const seen = await Array.fromAsync(watch({ completed: completed.promise, info }, 1));
    assertEquals(seen.map((info) => info.status), ["active", "active", "active", "failed"]);
    assertEquals(info.mock.callCount(), 4);
  });
}

Deno.test("watch() leaves no timer behind when it is left early", async () => {
  const migration = { completed: new Promise(() => {}), info: (): MigrationInfo => ({}) };
  for await (const _ of watch(migration, 1)) break;
});
