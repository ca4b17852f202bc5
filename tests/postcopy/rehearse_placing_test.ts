import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { libc } from "../../src/os/libc.ts";
import { TIMES } from "../../src/postcopy/rehearsal.ts";
import { rehearsePlacing } from "../../src/postcopy/rehearse_placing.ts";

const ignore = libc() === undefined;

Deno.test({
  name: "rehearsePlacing() places every page, and ends",
  ignore,
  async fn() {
    const placed = await rehearsePlacing(() => false);
    assert(placed >= TIMES, `${placed}`);
  },
});

Deno.test({
  name: "rehearsePlacing() leaves the rest when there is no time",
  ignore,
  async fn() {
    let looks = 0;
    const placed = await rehearsePlacing(() => ++looks > 2);
    assert(placed < 100, `${placed}`);
  },
});

Deno.test({
  name: "rehearsePlacing() lets its thread hear that there is no time",
  ignore,
  async fn() {
    let isOver = false;
    setTimeout(() => isOver = true, 0);
    const placed = await rehearsePlacing(() => isOver);
    assert(placed < TIMES, `${placed}`);
  },
});

Deno.test({
  name: "Without FFI rehearsePlacing() does nothing",
  ignore: !ignore,
  fn: async () => assertEquals(await rehearsePlacing(() => false), 0),
});
