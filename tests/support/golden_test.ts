import { assert, assertEquals, assertRejects } from "@std/assert";
import { GOLDEN_FOLDER, readGolden, readGoldenManifest } from "./golden.ts";
import { GOLDEN_RECIPES } from "./golden_recipes.ts";

/** All captures together must stay small enough to be cloned by everybody. */
const TOTAL_MAX = 2 * 1024 ** 2;
const FILE_MAX = 300 * 1024;

Deno.test("readGolden() gives the bytes that the manifest describes", async () => {
  for (const [name, { parts }] of Object.entries(await readGoldenManifest())) {
    for (const [part, { size, sha256 }] of Object.entries(parts)) {
      const bytes = await readGolden(name, part);
      assertEquals(bytes.length, size, `${name} ${part}`);
      const digest = await crypto.subtle.digest("SHA-256", bytes);
      assertEquals(new Uint8Array(digest).toHex(), sha256, `${name} ${part}`);
    }
  }
});

Deno.test("every capture begins as QEMU's streams begin", async () => {
  for (const name of Object.keys(await readGoldenManifest())) {
    const magic = new TextDecoder().decode((await readGolden(name)).subarray(0, 4));
    assertEquals(magic, "QEVM", name);
  }
});

Deno.test("every recipe has a capture and every file an entry", async () => {
  const manifest = await readGoldenManifest();
  assertEquals(Object.keys(manifest).toSorted(), Object.keys(GOLDEN_RECIPES).toSorted());
  const described = Object.values(manifest).flatMap(({ parts }) =>
    Object.values(parts).map(({ file }) => file)
  );
  const files: string[] = [];
  let total = 0;
  for await (const { name } of Deno.readDir(GOLDEN_FOLDER)) {
    if (!name.endsWith(".gz")) continue;
    const { size } = await Deno.stat(new URL(name, GOLDEN_FOLDER));
    assert(size <= FILE_MAX, `${name} has ${size} bytes`);
    total += size;
    files.push(name);
  }
  assertEquals(files.toSorted(), described.toSorted());
  assert(total <= TOTAL_MAX, `${total} bytes of captures`);
});

Deno.test("the manifest names no folder of the machine that made the captures", async () => {
  for (const { commands } of Object.values(await readGoldenManifest())) {
    for (const line of Object.values(commands).flat()) {
      assertEquals(line.match(/(?<!\$DIR)\/(tmp|opt|home|root|work)\//), null, line);
    }
  }
});

Deno.test("readGolden() names what there is when asked for what there is not", async () => {
  await assertRejects(() => readGolden("nothing"), RangeError, "none-10.0");
  await assertRejects(() => readGolden("none-10.0", "multifd-0"), RangeError, "there are main");
});
