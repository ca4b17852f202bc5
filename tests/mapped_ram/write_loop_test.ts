import { assert, assertEquals, assertThrows } from "@std/assert";
import { PageScan } from "../../src/batch/page_scan.ts";
import { TransportError } from "../../src/errors.ts";
import type { GuestRam } from "../../src/machine/guest_ram.ts";
import { MappedPages } from "../../src/mapped_ram/mapped_pages.ts";
import { WriteLoop } from "../../src/mapped_ram/write_loop.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../../src/threads/job_ring.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { withFolder } from "../image/fixtures.ts";
import { patternedRam } from "../ram/fixtures/patterned_ram.ts";
import { splitRam } from "./fixtures/split_ram.ts";

const MIB = 1024 ** 2;

/** A loop over a file, whose blocks are a MiB apart. */
function setUp(ram: GuestRam, path: string, detectZero = true) {
  const pages = MappedPages.create(ram.blocks.map(({ pageCount }) => pageCount));
  for (const { index } of ram.blocks) pages.place(index, (index + 1) * MIB);
  const ring = JobRing.create(64, new Progress());
  const counters = new ChannelCounters();
  const file = new FileChannel(fileSpec(path, 0, "write"));
  const start = {
    ...{ file: fileSpec(path, 0, "write"), ram: ram.layout, pages: pages.layout, detectZero },
    ...{ ring: ring.layout, counters: counters.buffer },
  };
  const loop = new WriteLoop(file, start);
  return {
    ...{ pages, ring, counters, file, loop },
    /** Writes what is dirty. */
    writeAll() {
      const scan = new PageScan(ram);
      while (scan.pushBatch(ring, 100) > 0);
      ring.pushMark(JobKind.END);
      loop.run();
      assertEquals(ring.pending, 0);
    },
    [Symbol.dispose]: () => file.close(),
  };
}

Deno.test("WriteLoop writes each page with content to its place, and no other byte", () =>
  withFolder(async (folder) => {
    for (const ram of [patternedRam(true), splitRam()]) {
      using both = setUp(ram, `${folder}/file`);
      both.writeAll();
      const bytes = await Deno.readFile(`${folder}/file`);
      for (const block of ram.blocks) {
        for (let page = 0; page < block.pageCount; page++) {
          const content = new Uint8Array(block.view(page * 4096, 4096));
          const at = (block.index + 1) * MIB + page * 4096;
          const isThere = both.pages.bitmap(block.index).has(page);
          assertEquals(isThere, content.some((byte) => byte !== 0));
          if (isThere) assertEquals(bytes.subarray(at, at + 4096), content);
        }
        assertEquals(block.dirty.count(), 0);
      }
      const { normalPages, zeroPages, bytes: written } = both.counters.snapshot();
      assertEquals(written, 4096 * normalPages);
      assertEquals(normalPages + zeroPages, ram.length / 4096);
    }
  }));

Deno.test("WriteLoop leaves holes for zeros", () =>
  withFolder(async (folder) => {
    const ram = patternedRam(false);
    for (const block of ram.blocks) block.view(0, block.length).fill(0);
    ram.blocks[2]!.view(31 * 4096, 1)[0] = 1;
    using both = setUp(ram, `${folder}/file`);
    both.writeAll();
    const { size, blocks } = await Deno.stat(`${folder}/file`);
    assertEquals(size, 3 * MIB + 32 * 4096);
    assert(blocks! * 512 <= 16384, `${blocks} blocks`);
    assertEquals(both.counters.get("zeroPages"), 236);
  }));

Deno.test("WriteLoop rewrites a page in its place; one that became zeros is the file's no more", () =>
  withFolder(async (folder) => {
    const ram = patternedRam(false);
    using both = setUp(ram, `${folder}/file`);
    both.writeAll();
    const block = ram.blocks[1]!;
    block.view(4 * 4096, 4096).fill(0);
    block.view(5 * 4096, 4096).fill(0xab);
    block.view(6 * 4096, 4096).fill(0xcd); // was zeros
    block.untouched.delete(6);
    block.dirty.fill(4, 3, true);
    const { size } = await Deno.stat(`${folder}/file`);
    both.writeAll();
    const bytes = await Deno.readFile(`${folder}/file`);
    assertEquals(bytes.length, size);
    assertEquals([4, 5, 6].map((page) => both.pages.bitmap(1).has(page)), [false, true, true]);
    assert(bytes.subarray(2 * MIB + 5 * 4096, 2 * MIB + 6 * 4096).every((byte) => byte === 0xab));
    assert(bytes.subarray(2 * MIB + 6 * 4096, 2 * MIB + 7 * 4096).every((byte) => byte === 0xcd));
  }));

Deno.test("WriteLoop writes zeros that it is not told to look for, except where nobody wrote any", () =>
  withFolder((folder) => {
    const ram = patternedRam(false);
    ram.blocks[1]!.untouched.delete(3);
    using both = setUp(ram, `${folder}/file`, false);
    both.writeAll();
    assertEquals([3, 6].map((page) => both.pages.bitmap(1).has(page)), [true, false]);
    return Promise.resolve();
  }));

Deno.test("WriteLoop ends when it is stopped, with work before it, and when it cannot write", () =>
  withFolder((folder) => {
    const ram = patternedRam(false);
    using both = setUp(ram, `${folder}/file`);
    const scan = new PageScan(ram);
    scan.pushBatch(both.ring, 5);
    both.ring.stop();
    both.loop.run();
    assertEquals(ram.blocks[0]!.dirty.count(), 5);

    using full = setUp(ram, `${folder}/file`);
    full.pages.place(0, 2 ** 62);
    assertThrows(() => full.writeAll(), TransportError, "Cannot write file:");
    return Promise.resolve();
  }));
