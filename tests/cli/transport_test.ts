import { assertEquals } from "@std/assert";
import { transportOf } from "../../src/cli/transport.ts";

Deno.test("transportOf() avoids Deno's internals only when the user wants that", () => {
  assertEquals(transportOf({ publicApi: false }).handOff, "descriptor");
  assertEquals(transportOf({ publicApi: true }).handOff, "bridge");
});
