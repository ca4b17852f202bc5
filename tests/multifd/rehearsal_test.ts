import { assert } from "@std/assert";
import { rehearseReceiving, rehearseSending } from "../../src/multifd/rehearsal.ts";
import { libc } from "../../src/os/libc.ts";
import "../support/load_libc.ts";

const ignore = libc() === undefined;

Deno.test({
  name:
    "rehearseReceiving() places packets like those of a migration: of zero pages, and of content",
  ignore,
  async fn() {
    const { packets, zeroPages, normalPages } = await rehearseReceiving();
    for (const count of [packets, zeroPages, normalPages]) assert(count > 128, `${count}`);
  },
});

Deno.test({ name: "rehearseSending() sends all of them and ends", ignore, fn: rehearseSending });
