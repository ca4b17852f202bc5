import { assertEquals } from "@std/assert";
import { describeMethod, METHOD_FLAGS } from "../../src/multifd/method.ts";

Deno.test("describeMethod() names what QEMU's flags mean, and numbers what they do not", () => {
  for (const [name, flags] of Object.entries(METHOD_FLAGS)) {
    assertEquals(describeMethod(flags), name);
  }
  assertEquals([0x08, 0x10, 0x20].map(describeMethod), ["qpl", "uadk", "qatzip"]);
  assertEquals(describeMethod(0x06), "0x6");
});
