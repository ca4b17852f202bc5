import { assertEquals, assertThrows } from "@std/assert";
import { DirtyLogTurns } from "../../src/control/dirty_log_turns.ts";
import { StateError } from "../../src/errors.ts";

/** A borrower that notes what it is told. */
function borrower(turns: DirtyLogTurns) {
  const told: string[] = [];
  const made = {
    told,
    giveUp: async () => {
      told.push("give up");
      await Promise.resolve();
      turns.giveBack(made);
    },
    returned: () => void told.push("returned"),
  };
  return made;
}

Deno.test("DirtyLogTurns lends the log to one at a time", () => {
  const turns = new DirtyLogTurns();
  const [one, other] = [borrower(turns), borrower(turns)];
  turns.borrow(one);
  assertEquals(turns.free, false);
  assertThrows(() => turns.borrow(other), StateError, "another measurement");
  turns.giveBack(other); // it has nothing
  assertEquals(turns.free, false);
  turns.giveBack(one);
  turns.borrow(other);
});

Deno.test("DirtyLogTurns takes the log for a migration, and tells who had it when it is over", async () => {
  const turns = new DirtyLogTurns();
  const one = borrower(turns);
  turns.borrow(one);
  await turns.beginMigration();
  assertEquals([one.told, turns.migrating], [["give up"], true]);
  assertThrows(() => turns.borrow(one), StateError, "A migration");
  turns.endMigration();
  turns.endMigration();
  assertEquals([one.told, turns.free], [["give up", "returned"], true]);
  await turns.beginMigration();
  turns.endMigration();
  assertEquals(one.told.length, 2);
});

Deno.test("DirtyLogTurns tells who came during a migration, unless he does not want it any more", async () => {
  const turns = new DirtyLogTurns();
  const one = borrower(turns);
  await turns.beginMigration();
  turns.waitFor(one);
  turns.endMigration();
  assertEquals(one.told, ["returned"]);
  await turns.beginMigration();
  turns.waitFor(one);
  turns.giveBack(one);
  turns.endMigration();
  assertEquals(one.told, ["returned"]);
});

Deno.test("DirtyLogTurns tells an arrival from other migrations, until it is over", async () => {
  const turns = new DirtyLogTurns();
  const one = borrower(turns);
  turns.borrow(one);
  await turns.beginArrival();
  assertEquals([turns.arriving, turns.migrating, one.told], [true, true, ["give up"]]);
  turns.endMigration();
  assertEquals([turns.arriving, turns.free, one.told], [false, true, ["give up", "returned"]]);
  await turns.beginMigration();
  assertEquals(turns.arriving, false);
});
