import "../support/load_libc.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { KernelLog } from "../../src/dirty/kernel_log.ts";
import { hostRanges } from "../../src/dirty/host_range.ts";
import { StateError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Errno } from "../../src/os/errno.ts";
import { adviseHugePages } from "../../src/os/madvise.ts";
import { Pagemap } from "../../src/os/pagemap.ts";
import { probeHost } from "../../src/os/probe.ts";

const ignore = probeHost().writeTracking !== undefined;

function makeRam() {
  const ram = GuestRam.create([{ name: "ram", length: 1024 ** 2 }]);
  return { ram, block: ram.blocks[0]! };
}

Deno.test({
  name: "KernelLog notes what the kernel itself writes to RAM: a file that is read",
  ignore,
  async fn() {
    const { ram, block } = makeRam();
    const path = await Deno.makeTempFile();
    await Deno.writeFile(path, new Uint8Array(6000).fill(7));
    const log = new KernelLog(ram);
    await log.start();
    using file = await Deno.open(path);
    assertEquals(await file.read(block.view(4096 * 10, 6000)), 6000);
    assertEquals(await log.sync(), 2);
    assertEquals([block.dirty.has(10), block.dirty.has(11)], [true, true]);
    await log.stop();
    await Deno.remove(path);
  },
});

Deno.test({
  name: "KernelLog does not take a read for a write, of pages with content or without",
  ignore,
  async fn() {
    const { ram, block } = makeRam();
    block.view(0, 4096 * 4).fill(1);
    const log = new KernelLog(ram);
    await log.start();
    assertEquals(block.view(0, block.length).reduce((sum, byte) => sum + byte), 4096 * 4);
    assertEquals(await log.sync(), 0);
    await log.stop();
  },
});

Deno.test({
  name: "KernelLog counts only bits that were clear, and marks pages again that were cleared",
  ignore,
  async fn() {
    const { ram, block } = makeRam();
    const log = new KernelLog(ram);
    await log.start();
    block.view(4096 * 30, 4096 * 5).fill(1);
    block.dirty.add(31);
    assertEquals([await log.sync(), block.dirty.count()], [4, 5]);
    block.dirty.delete(33);
    assertEquals([await log.sync(), block.dirty.count()], [0, 4]);
    block.view(4096 * 30, 4096 * 5).fill(2);
    assertEquals([await log.sync(), block.dirty.count()], [1, 5]);
    await log.stop();
  },
});

Deno.test({
  name: "KernelLog marks all target pages of a written host page, none outside the block",
  ignore,
  async fn() {
    const ram = GuestRam.create(
      [{ name: "a", length: 1024 * 7 }, { name: "b", length: 1024 * 5 }],
      { pageSize: 1024, packed: true },
    );
    const [a, b] = ram.blocks;
    const log = new KernelLog(ram);
    await log.start();
    a!.view(1024 * 6, 1)[0] = 1;
    b!.view(1024 * 1, 1)[0] = 1;
    assertEquals(await log.sync(), 3 + 4);
    assertEquals([a!.dirty.words[0], b!.dirty.words[0]], [0b1110000, 0b01111]);
    await log.stop();
  },
});

Deno.test({
  name: "KernelLog tells small pages apart where the kernel provides large ones",
  ignore,
  async fn() {
    const ram = GuestRam.create([{ name: "ram", length: 8 * 1024 ** 2 }]);
    const block = ram.blocks[0]!;
    const { start, end } = hostRanges(ram)![0]!;
    // A hint only: where there are no large pages, all of this must hold as well.
    adviseHugePages(start, end - start);
    const log = new KernelLog(ram);
    await log.start();
    block.view(5 * 1024 ** 2, 1)[0] = 1;
    await log.sync();
    assertEquals(block.dirty.has(5 * 256), true);
    block.view(0, block.length).fill(1);
    await log.sync();
    assertEquals(block.dirty.count(), block.pageCount);
    block.dirty.fill(0, block.pageCount, false);
    block.view(4096 * 700, 1)[0] = 2;
    block.view(4096 * 1999, 1)[0] = 2;
    assertEquals(await log.sync(), 2);
    assertEquals([block.dirty.has(700), block.dirty.has(1999)], [true, true]);
    await log.stop();
  },
});

Deno.test({
  name: "KernelLog that has stopped leaves the memory to others",
  ignore,
  async fn() {
    const { ram } = makeRam();
    const log = new KernelLog(ram);
    const pagemap = Pagemap.open();
    assert(typeof pagemap !== "number");
    const { start, end } = hostRanges(ram)![0]!;
    await log.start();
    assertEquals(pagemap.find("written", start, end), 0);
    await log.stop();
    assertEquals(pagemap.find("written", start, end), -Errno.EPERM);
    const other = new KernelLog(ram);
    await other.start();
    await other.stop();
    pagemap.close();
  },
});

Deno.test({
  name: "KernelLog refuses memory that another log watches, and does not disturb that one",
  ignore,
  async fn() {
    const shared = makeRam().ram.memories[0]!;
    const one = GuestRam.create([{ name: "ram", length: 65536, memory: shared }]);
    const two = GuestRam.create([
      { name: "own", length: 65536 },
      { name: "ram", length: 65536, memory: shared },
    ]);
    const log = new KernelLog(one);
    await log.start();
    const other = new KernelLog(two);
    const error = await assertRejects(() => other.start(), StateError);
    assertEquals(
      error.what,
      "The kernel's dirty log: RAM block ram cannot be watched (EBUSY)",
    );
    await assertRejects(() => other.sync(), StateError, "does not run");
    one.blocks[0]!.view(0, 1)[0] = 1;
    assertEquals(await log.sync(), 1);
    await log.stop();
    await other.start();
    await other.stop();
  },
});
