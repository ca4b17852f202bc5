import { assert } from "@std/assert";
import { libc } from "../../src/os/libc.ts";
import { rehearseLoading, rehearseSaving } from "../../src/ram/rehearsal.ts";
import "../support/load_libc.ts";

const ignore = libc() === undefined;

Deno.test({
  name: "rehearseLoading() takes bytes and pages, and ends",
  ignore,
  async fn() {
    const bytes = await rehearseLoading();
    assert(bytes > 128 * 4096, `${bytes}`);
  },
});

Deno.test({ name: "rehearseSaving() sends all of them and ends", ignore, fn: rehearseSaving });
