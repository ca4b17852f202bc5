import { assert, assertEquals, assertRejects } from "@std/assert";
import { PageScan } from "../../src/batch/page_scan.ts";
import { CancelledError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { OutgoingStream } from "../../src/ram/outgoing_stream.ts";
import { ZeroPass } from "../../src/ram/zero_pass.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { connectedSpecs } from "./fixtures/channels.ts";

const NO_TROUBLE = () => {};
const PAGES = 20_000;

/** RAM of which every 1000th page has content, and a pass over it whose records somebody reads. */
async function setUp() {
  const ram = GuestRam.create([
    { name: "a", length: PAGES * 4096 },
    { name: "b", length: 10 * 4096 },
  ]);
  for (const block of ram.blocks) {
    for (let page = 0; page < block.pageCount; page += 1000) {
      block.view(page * 4096, 1)[0] = 1;
      block.untouched.delete(page);
    }
    block.dirty.fill(0, block.pageCount, true);
  }
  const { from, to } = await connectedSpecs();
  const stream = await OutgoingStream.start({
    ...{ channel: from, ram, progress: new Progress() },
    encoder: { detectZero: true, onlyZero: true },
  });
  const reader = openChannel(to);
  const into = new Uint8Array(65_536);
  const reading = (async () => {
    try {
      while (await reader.read(into) > 0);
    } catch {
      // It was closed.
    }
  })();
  return {
    ...{ ram, stream, scan: new PageScan(ram), pass: new ZeroPass(stream) },
    async [Symbol.asyncDispose]() {
      await stream[Symbol.asyncDispose]();
      reader.close();
      await reading;
    },
  };
}

Deno.test("ZeroPass sends the zero pages of a stretch and leaves the others dirty, the scan where it was", async () => {
  await using set = await setUp();
  const { ram, stream, scan, pass } = set;
  await pass.advance(scan, NO_TROUBLE);
  assertEquals(scan.position, { block: 0, page: 0 });
  const zeros = stream.counters.get("zeroPages");
  assert(zeros >= 8000 && zeros < 9000, `${zeros} of the first stretch`);
  assertEquals(ram.blocks[0]!.dirty.count(), PAGES - zeros);
  // As long as the scan is inside, there is nothing to do.
  scan.jumpTo(0, 5000);
  await pass.advance(scan, NO_TROUBLE);
  assertEquals(stream.counters.get("zeroPages"), zeros);
  assertEquals(scan.position, { block: 0, page: 5000 });
});

Deno.test("ZeroPass gets through all blocks; what is left is dirty and has content", async () => {
  await using set = await setUp();
  const { ram, stream, scan, pass } = set;
  for (let rounds = 0; rounds < 2; rounds++) {
    pass.restart();
    scan.restart();
    for (;;) {
      await pass.advance(scan, NO_TROUBLE);
      const block = ram.blocks[scan.position.block];
      if (!block) break;
      const next = block.dirty.next(scan.position.page);
      if (next < block.pageCount) scan.jumpTo(block.index, next + 1);
      else scan.jumpTo(block.index + 1, 0);
    }
  }
  const left = (index: number) => ram.blocks[index]!.dirty.count();
  assertEquals([left(0), left(1)], [PAGES / 1000, 1]);
  assertEquals(stream.counters.get("zeroPages"), PAGES - PAGES / 1000 + 9);
  assertEquals(stream.counters.get("normalPages"), 0);
});

Deno.test("ZeroPass ends with what its check throws", async () => {
  await using set = await setUp();
  const check = () => {
    throw new CancelledError("enough");
  };
  await assertRejects(() => set.pass.advance(set.scan, check), CancelledError);
});
