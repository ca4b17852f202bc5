import "../support/load_libc.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DigestRecorder } from "../../src/dirty/digest_recorder.ts";
import { DigestTable, pageHash } from "../../src/dirty/digest_table.ts";
import { HashLog } from "../../src/dirty/hash_log.ts";
import { StateError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { RamBlock } from "../../src/machine/ram_block.ts";

const PAGES = 64;

/** RAM under a running log, and someone who sends its pages. */
async function makeLog() {
  const ram = GuestRam.create([{ name: "ram", length: 4096 * PAGES }]);
  const block = ram.blocks[0]!;
  const log = new HashLog(ram);
  await log.start();
  takeAllAsTouched(block);
  const staging = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const recorder = new DigestRecorder(ram, log.digests, staging);
  return {
    ram,
    block,
    log,
    write: (page: number, byte: number) => block.view(page * 4096, 4096).fill(byte),
    /** @returns The bytes that are sent. */
    send(page: number): Uint8Array {
      block.dirty.delete(page);
      recorder.take(0, page, 8192);
      return new Uint8Array(staging.buffer).slice(8192, 8192 + 4096);
    },
  };
}

/** What the host can tell is of no interest here. */
function takeAllAsTouched({ untouched, pageCount }: RamBlock): void {
  untouched.fill(0, pageCount, false);
}

Deno.test("HashLog notes a page that has its old content again after another was sent", async () => {
  const { block, log, write, send } = await makeLog();
  for (let page = 0; page < PAGES; page++) send(page);
  write(5, 1);
  assertEquals([await log.sync(), block.dirty.has(5)], [1, true]);
  assertEquals(send(5), new Uint8Array(4096).fill(1));
  write(5, 0);
  assertEquals([await log.sync(), block.dirty.has(5)], [1, true]);
  send(5);
  assertEquals(await log.sync(), 0);
  await log.stop();
});

Deno.test("HashLog lets a page be that was written and written back before it was sent", async () => {
  const { log, write, send } = await makeLog();
  for (let page = 0; page < PAGES; page++) send(page);
  write(5, 1);
  write(5, 0);
  assertEquals(await log.sync(), 0);
  await log.stop();
});

Deno.test("HashLog counts pages that were never sent as dirty, unless they are untouched", async () => {
  const { block, log, write, send } = await makeLog();
  block.untouched.fill(0, 10, true);
  write(3, 9);
  for (let page = 10; page < PAGES - 2; page++) send(page);
  assertEquals(await log.sync(), 3);
  assertEquals([3, 62, 63].map((page) => block.dirty.has(page)), [true, true, true]);
  assertEquals([block.untouched.has(2), block.untouched.has(3)], [true, false]);
  await log.stop();
});

Deno.test("HashLog counts a page as dirty while it is on its way", async () => {
  const { ram, block, log, send } = await makeLog();
  for (let page = 0; page < PAGES; page++) send(page);
  // Halfway through DigestRecorder.take(): the old digest is gone, the new one not there yet.
  const [pages, digests] = [ram.memories[0]!, log.digests.memory];
  const hash = pageHash({ pages, staging: pages, digests, tables: ram.tables });
  const spare = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  pageHash({ pages, staging: spare, digests, tables: ram.tables })
    .take(7 * 4096, 0, 4096, new DigestTable(log.digests).offset(0, 7));
  assertEquals([await log.sync(), block.dirty.has(7)], [1, true]);
  send(7);
  assertEquals(await log.sync(), 0);
  hash.forget(new DigestTable(log.digests).offset(0, 9));
  assertEquals([await log.sync(), block.dirty.has(9)], [1, true]);
  await log.stop();
});

Deno.test("HashLog notes a change of any single bit", async () => {
  const { block, log, send } = await makeLog();
  const view = block.view(0, block.length);
  for (let at = 0; at < view.length; at += 65536) {
    view.set(crypto.getRandomValues(new Uint8Array(65536)), at);
  }
  for (let page = 0; page < PAGES; page++) send(page);
  for (let turn = 0; turn < 64; turn++) {
    // One bit in each page, each time elsewhere.
    for (let page = 0; page < PAGES; page++) {
      const bit = (page * 521 + turn * 509) % 32768;
      view[page * 4096 + (bit >> 3)]! ^= 1 << (bit & 7);
    }
    assertEquals(await log.sync(), PAGES);
    for (let page = 0; page < PAGES; page++) send(page);
  }
  await log.stop();
});

Deno.test("HashLog forgets what was sent when it starts again", async () => {
  const { block, log, send } = await makeLog();
  for (let page = 0; page < PAGES; page++) send(page);
  assertEquals(await log.sync(), 0);
  await log.stop();
  await log.start();
  takeAllAsTouched(block);
  assertEquals([await log.sync(), block.dirty.count()], [PAGES, PAGES]);
  await log.stop();
});

Deno.test("HashLog.stop() ends a sync that is under way, which rejects", async () => {
  const { log, block } = await makeLog();
  const sync = assertRejects(() => log.sync(), StateError, "was stopped");
  await log.stop();
  await sync;
  // It may have come to some pages, or all.
  block.dirty.fill(0, PAGES, false);
  await log.start();
  takeAllAsTouched(block);
  assertEquals(await log.sync(), PAGES);
  await log.stop();
});

Deno.test("HashLog refuses a sync while another is under way", async () => {
  const { log } = await makeLog();
  const first = log.sync();
  await assertRejects(() => log.sync(), StateError, "is busy");
  assertEquals(await first, PAGES);
  await log.stop();
});

Deno.test("HashLog.start() rejects, and hangs on nothing, when its worker does not come up", async () => {
  // Without --allow-read a worker's module cannot be loaded.
  const script = new URL("./hash_elsewhere.ts", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", script.href],
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(lines.length, 3);
  assert(lines[0]!.startsWith("WorkerFailedError: The dirty log's worker failed: "), lines[0]);
  assertEquals([lines[1], lines[2]], [lines[0], "StateError: The dirty log does not run"]);
});
