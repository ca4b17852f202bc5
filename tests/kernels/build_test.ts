import { assertEquals } from "@std/assert";
import { assembleKernel, readKernelSources } from "../../src/kernels/build.ts";

Deno.test("assembleKernel() gives the modules that are checked in", async () => {
  for (const { name, text, output } of await readKernelSources()) {
    const built = await Deno.readTextFile(output);
    assertEquals(built, await assembleKernel(name, text), `${name}: run deno task kernels`);
  }
});
