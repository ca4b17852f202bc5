import { assertEquals, assertThrows } from "@std/assert";
import { string } from "../../src/qmp/argument_types.ts";
import { command, outOfBand } from "../../src/qmp/command.ts";
import { QmpError } from "../../src/qmp/qmp_error.ts";

Deno.test("command() runs its handler with arguments that are what they should be", () => {
  const greet = command({ name: string }, ({ name }) => `hello ${name}`);
  assertEquals(greet.run({ name: "you" }), "hello you");
  assertThrows(() => greet.run({}), QmpError, "Parameter 'name' is missing");
});

Deno.test("outOfBand() is the same command with the right to overtake", () => {
  const plain = command({}, () => 5);
  const fast = outOfBand(plain);
  assertEquals([plain.outOfBand, fast.outOfBand, fast.run({})], [false, true, 5]);
});
