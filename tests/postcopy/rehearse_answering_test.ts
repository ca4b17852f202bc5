import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { libc } from "../../src/os/libc.ts";
import { TIMES } from "../../src/postcopy/rehearsal.ts";
import { rehearseAnswering } from "../../src/postcopy/rehearse_answering.ts";

const ignore = libc() === undefined;

Deno.test({
  name: "rehearseAnswering() answers every request, and ends",
  ignore,
  async fn() {
    const answered = await rehearseAnswering(() => false);
    assert(answered >= TIMES, `${answered}`);
  },
});

Deno.test({
  name: "rehearseAnswering() leaves the rest when there is no time",
  ignore,
  async fn() {
    let looks = 0;
    const answered = await rehearseAnswering(() => ++looks > 2);
    assert(answered < 100, `${answered}`);
  },
});

Deno.test({
  name: "rehearseAnswering() lets its thread hear that there is no time",
  ignore,
  async fn() {
    let isOver = false;
    setTimeout(() => isOver = true, 0);
    const answered = await rehearseAnswering(() => isOver);
    assert(answered < TIMES, `${answered}`);
  },
});

Deno.test({
  name: "Without FFI rehearseAnswering() does nothing",
  ignore: !ignore,
  fn: async () => assertEquals(await rehearseAnswering(() => false), 0),
});
