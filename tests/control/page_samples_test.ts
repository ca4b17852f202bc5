import { assert, assertEquals, assertRejects } from "@std/assert";
import { PageSamples } from "../../src/control/page_samples.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const NEVER = new AbortController().signal;

function made(lengths: number[]) {
  return GuestRam.create(lengths.map((pages, i) => ({ name: `b${i}`, length: pages * 4096 })));
}

Deno.test("PageSamples tell how much of RAM was written", async () => {
  const ram = made([4096, 256]);
  const samples = await PageSamples.take(ram, 65536, NEVER);
  assertEquals(await samples.written(NEVER), 0);
  for (let page = 0; page < 4096; page += 2) {
    ram.blocks[0]!.view(page * 4096, 4096)[page % 4096] = 1;
  }
  const half = await samples.written(NEVER) / ram.blocks[0]!.length;
  assert(half > 0.3 && half < 0.7, `${half}`);
  for (const block of ram.blocks) {
    for (let page = 0; page < block.pageCount; page++) block.view(page * 4096, 4096)[4095]!++;
  }
  assertEquals(Math.round(await samples.written(NEVER)), ram.length);
});

Deno.test("PageSamples take each page of a small block at most once, whichever byte is written", async () => {
  const ram = made([10]);
  for (const at of [0, 1, 2047, 4095]) {
    const samples = await PageSamples.take(ram, 128, NEVER);
    ram.blocks[0]!.view(3 * 4096, 4096)[at]!++;
    assertEquals(await samples.written(NEVER), 4096);
  }
});

Deno.test("PageSamples give up when they are told", async () => {
  const abort = new AbortController();
  const taking = PageSamples.take(made([4096]), 16384 * 64, abort.signal);
  abort.abort(new Error("enough"));
  await assertRejects(() => taking, Error, "enough");
});
