import { assertEquals, assertThrows } from "@std/assert";
import { Blockers } from "../../src/control/blockers.ts";
import { StateError } from "../../src/errors.ts";

Deno.test("Blockers are there until each is taken back, in their order", () => {
  let late = false;
  const blockers = new Blockers(() => late);
  assertEquals(blockers.reasons, []);
  const takeBack = blockers.add("a disk");
  blockers.add("a disk");
  blockers.add("a card");
  assertEquals(blockers.reasons, ["a disk", "a disk", "a card"]);
  takeBack();
  takeBack();
  assertEquals(blockers.reasons, ["a disk", "a card"]);
  late = true;
  assertThrows(() => blockers.add("more"), StateError, "too late for a blocker: more");
  assertEquals(blockers.reasons, ["a disk", "a card"]);
});
