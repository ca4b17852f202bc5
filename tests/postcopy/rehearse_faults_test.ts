import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { libc } from "../../src/os/libc.ts";
import { TIMES } from "../../src/postcopy/rehearsal.ts";
import { rehearseFaults } from "../../src/postcopy/rehearse_faults.ts";

const ignore = libc() === undefined;

Deno.test({
  name: "rehearseFaults() asks for the page of every fault, and ends",
  ignore,
  async fn() {
    const bytes = await rehearseFaults(() => false);
    assert(bytes >= 16 * TIMES, `${bytes}`);
  },
});

Deno.test({
  name: "rehearseFaults() leaves the rest when there is no time",
  ignore,
  async fn() {
    let looks = 0;
    const bytes = await rehearseFaults(() => ++looks > 2);
    assert(bytes < 300 * 16, `${bytes}`);
  },
});

Deno.test({
  name: "rehearseFaults() lets its thread hear that there is no time",
  ignore,
  async fn() {
    let isOver = false;
    setTimeout(() => isOver = true, 0);
    const bytes = await rehearseFaults(() => isOver);
    assert(bytes < 16 * TIMES, `${bytes}`);
  },
});

Deno.test({
  name: "Without FFI rehearseFaults() does nothing",
  ignore: !ignore,
  fn: async () => assertEquals(await rehearseFaults(() => false), 0),
});
