import { assertEquals } from "@std/assert";
import { Pauses } from "../../src/cli/pauses.ts";

Deno.test("Pauses are told once each, with how they end", () => {
  const said: string[] = [];
  const pauses = new Pauses({ warn: (words) => said.push(words) }, "magic");
  const told = () => said.splice(0).join(" ");
  pauses.look({ status: "postcopy-active" });
  pauses.look({ status: "postcopy-paused" });
  assertEquals(told(), "");
  const paused = { status: "postcopy-paused", "error-desc": "gone" } as const;
  pauses.look(paused);
  assertEquals(told(), "ferry: gone        It is postcopy-paused, and goes on with QMP's magic");
  pauses.look(paused);
  pauses.look({ status: "postcopy-recover" });
  pauses.look(paused);
  assertEquals(told(), "");
  pauses.look({ status: "postcopy-active" });
  pauses.look(paused);
  assertEquals(told().slice(0, 11), "ferry: gone");
});
