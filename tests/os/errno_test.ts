import { assertEquals } from "@std/assert";
import { Errno, errnoName } from "../../src/os/errno.ts";

Deno.test("errnoName() names what a call returned", () => {
  assertEquals(errnoName(-Errno.EPERM), "EPERM");
  assertEquals(errnoName(-Errno.ENOTTY), "ENOTTY");
});

Deno.test("errnoName() gives the number of an errno that has no name here", () => {
  assertEquals(errnoName(-71), "errno 71");
});
