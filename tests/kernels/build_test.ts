import { assertEquals } from "@std/assert";
import { assembleKernel, readKernelSources } from "../../src/kernels/build.ts";

Deno.test("assembleKernel() gives the modules that are checked in", async () => {
  const sources = await readKernelSources();
  for (const [name, source] of sources) {
    const built = await Deno.readTextFile(
      new URL(`../../src/kernels/${name}.wasm.ts`, import.meta.url),
    );
    assertEquals(built, await assembleKernel(name, source), `${name}: run deno task kernels`);
  }
});
