import { assertEquals } from "@std/assert";
import { isBeforePreemptAtSwitch } from "../../src/postcopy/preempt_dialect.ts";

Deno.test("The preempt channel comes early with machine types up to 7.2, and with no others", () => {
  const machines = ["pc-i440fx-7.2", "pc-q35-6.1", "virt-7.2", "pc-i440fx-8.0", "pc-q35-10.0"];
  assertEquals(machines.map(isBeforePreemptAtSwitch), [true, true, true, false, false]);
  assertEquals(["none", "room-17", "ferry", "a-7.2b"].some(isBeforePreemptAtSwitch), false);
});
