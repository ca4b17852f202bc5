import { assert, assertEquals, assertFalse } from "@std/assert";
import { mayFollow, RUN_STATES, type RunState } from "../../src/machine/run_state.ts";

Deno.test("mayFollow() lets a machine go through a migration, on both sides", () => {
  const roads: RunState[][] = [
    ["prelaunch", "running", "finish-migrate", "postmigrate"],
    ["prelaunch", "inmigrate", "running"],
    ["prelaunch", "inmigrate", "paused", "running"],
    ["running", "finish-migrate", "running"],
    ["running", "paused", "finish-migrate", "paused"],
    ["postmigrate", "running"],
    ["postmigrate", "inmigrate", "running"],
  ];
  for (const road of roads) {
    road.slice(1).forEach((to, i) => assert(mayFollow(road[i]!, to), `${road[i]} to ${to}`));
  }
});

Deno.test("mayFollow() keeps a machine that was sent away, or has failed, from what makes no sense", () => {
  assertFalse(mayFollow("running", "inmigrate"));
  assertFalse(mayFollow("running", "postmigrate"));
  assertFalse(mayFollow("running", "prelaunch"));
  assertFalse(mayFollow("internal-error", "running"));
  assertFalse(mayFollow("shutdown", "running"));
});

Deno.test("mayFollow() lets every state stay, be reached and be left", () => {
  for (const state of RUN_STATES) {
    assert(mayFollow(state, state));
    const others = RUN_STATES.filter((other) => other !== state);
    assert(others.some((other) => mayFollow(state, other)), `${state} can be left`);
    if (state === "prelaunch") continue;
    assert(others.some((other) => mayFollow(other, state)), `${state} can be reached`);
  }
  assertEquals(RUN_STATES.length, 10);
});
