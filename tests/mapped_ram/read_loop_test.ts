import { assertEquals, assertThrows } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { MappedPages } from "../../src/mapped_ram/mapped_pages.ts";
import { ReadLoop } from "../../src/mapped_ram/read_loop.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../../src/threads/job_ring.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { withFolder } from "../image/fixtures.ts";
import { SPECS } from "../ram/fixtures/patterned_ram.ts";
import { splitRam } from "./fixtures/split_ram.ts";

const PLACE = 8192;

/** A file with a block's pages, each filled with its number plus 100. */
async function writePages(path: string, count: number): Promise<void> {
  const bytes = new Uint8Array(PLACE + count * 4096);
  for (let page = 0; page < count; page++) {
    bytes.fill(page + 100, PLACE + page * 4096, PLACE + (page + 1) * 4096);
  }
  await Deno.writeFile(path, bytes);
}

function setUp(ram: GuestRam, path: string) {
  const pages = MappedPages.create(ram.blocks.map(({ pageCount }) => pageCount));
  pages.place(0, PLACE);
  const ring = JobRing.create(8, new Progress());
  const counters = new ChannelCounters();
  const spec = fileSpec(path, 0, "read");
  const file = new FileChannel(spec);
  const loop = new ReadLoop(file, {
    ...{ file: spec, ram: ram.layout, pages: pages.layout },
    ...{ ring: ring.layout, counters: counters.buffer },
  });
  return {
    ...{ pages, ring, counters },
    /** Reads pages of the first block. */
    read(first: number, count: number) {
      ring.beginBatch(0);
      ring.addRun(first, count);
      ring.publishBatch();
      ring.pushMark(JobKind.END);
      loop.run();
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/** The first byte of each of a block's pages, if all are the same. */
function bytesOf(ram: GuestRam): (number | undefined)[] {
  const [block] = ram.blocks;
  return Array.from({ length: block!.pageCount }, (_, page) => {
    const bytes = block!.view(page * 4096, 4096);
    return bytes.every((byte) => byte === bytes[0]) ? bytes[0] : undefined;
  });
}

Deno.test("ReadLoop reads the pages that the file has, and makes the others zeros", () =>
  withFolder(async (folder) => {
    await writePages(`${folder}/file`, 20);
    const ram = splitRam();
    using both = setUp(ram, `${folder}/file`);
    const there = [0, 1, 5, 6, 7, 8, 12, 19];
    for (const page of there) both.pages.bitmap(0).add(page);
    both.read(0, 20);
    assertEquals(
      bytesOf(ram),
      Array.from({ length: 20 }, (_, page) => there.includes(page) ? page + 100 : 0),
    );
    assertEquals(ram.blocks[0]!.received.count(), 20);
    const { bytes, normalPages, zeroPages } = both.counters.snapshot();
    assertEquals([bytes, normalPages, zeroPages], [8 * 4096, 8, 12]);
  }));

Deno.test("ReadLoop touches the pages of its range only, and no page of zeros that nobody touched", () =>
  withFolder(async (folder) => {
    await writePages(`${folder}/file`, 5);
    const ram = GuestRam.create(SPECS);
    using both = setUp(ram, `${folder}/file`);
    both.pages.bitmap(0).fill(0, 5, true);
    both.pages.bitmap(0).delete(2);
    both.read(1, 2);
    assertEquals(bytesOf(ram), [0, 101, 0, 0, 0]);
    const [block] = ram.blocks;
    assertEquals([0, 1, 2, 3].map((page) => block!.received.has(page)), [false, true, true, false]);
    assertEquals([0, 1, 2, 3].map((page) => block!.untouched.has(page)), [true, false, true, true]);
  }));

Deno.test("ReadLoop says where a file ends inside of a page", () =>
  withFolder(async (folder) => {
    await writePages(`${folder}/file`, 2);
    await Deno.truncate(`${folder}/file`, PLACE + 5000);
    const ram = splitRam();
    using both = setUp(ram, `${folder}/file`);
    both.pages.bitmap(0).fill(0, 2, true);
    assertThrows(
      () => both.read(0, 2),
      ConnectionLostError,
      `ends at ${PLACE + 5000} inside RAM block "ram"`,
    );
    assertEquals(ram.blocks[0]!.received.count(), 0);
  }));

Deno.test("ReadLoop ends when it is stopped, with work before it", () =>
  withFolder(async (folder) => {
    await writePages(`${folder}/file`, 2);
    const ram = splitRam();
    using both = setUp(ram, `${folder}/file`);
    both.ring.stop();
    both.read(0, 2);
    assertEquals(ram.blocks[0]!.received.count(), 0);
  }));
