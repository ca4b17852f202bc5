import { assertEquals } from "@std/assert";
import { codeOf, reasonOf } from "../../src/transport/os_error.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(`call ${code}`), { code });
}

Deno.test("reasonOf() puts the system's codes into words", async () => {
  assertEquals(reasonOf(systemError("ECONNREFUSED")), "connection refused");
  const missing = await Deno.open("/no/such/file").catch((error) => error);
  assertEquals([codeOf(missing), reasonOf(missing)], ["ENOENT", "no such file or directory"]);
});

Deno.test("reasonOf() keeps the words of what has no code it knows", () => {
  assertEquals(reasonOf(systemError("EWHAT")), "call EWHAT");
  assertEquals(reasonOf(new TypeError("")), "TypeError");
  assertEquals(reasonOf("text"), "text");
  assertEquals(codeOf("text"), undefined);
});

Deno.test("reasonOf() names each reason of several attempts once", () => {
  const both = new AggregateError([
    systemError("ECONNREFUSED"),
    systemError("ENETUNREACH"),
    systemError("ECONNREFUSED"),
  ]);
  assertEquals(reasonOf(both), "connection refused, the network is unreachable");
  assertEquals(codeOf(both), "ECONNREFUSED");
});
