/**
 * Prints the names of all tests with real QEMUs as JSON, without running one.
 *
 * @module
 */

const names: string[] = [];
const collect = (test: string | { readonly name: string }) =>
  void names.push(typeof test === "string" ? test : test.name);
Object.defineProperty(Deno, "test", { value: collect });

const folder = new URL("../interop/", import.meta.url);
for await (const { name } of Deno.readDir(folder)) {
  if (name.endsWith("_test.ts")) await import(new URL(name, folder).href);
}
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(names)));
