import { assertEquals } from "@std/assert";
import { DigestRecorder } from "../../src/dirty/digest_recorder.ts";
import { DigestTable } from "../../src/dirty/digest_table.ts";
import { HashScan } from "../../src/dirty/hash_scan.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const MIB = 1024 ** 2;

/** RAM that was sent once, every page of it, and a scan of it in this thread. */
function sentRam(lengths: readonly number[], options: { pageSize?: number; packed?: boolean }) {
  const ram = GuestRam.create(
    lengths.map((length, i) => ({ name: `block${i}`, length })),
    options,
  );
  const digests = DigestTable.create(ram).layout;
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const staging = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const recorder = new DigestRecorder(ram, digests, staging);
  for (const { index, pageCount, untouched } of ram.blocks) {
    untouched.fill(0, pageCount, false);
    for (let page = 0; page < pageCount; page++) recorder.take(index, page, 0);
  }
  return { ram, stop, recorder, scan: new HashScan({ ram: ram.layout, digests, stop }) };
}

function dirtyPages(ram: GuestRam): string[] {
  return ram.blocks.flatMap(({ name, dirty, pageCount }) =>
    Array.from({ length: pageCount }, (_, page) => page)
      .filter((page) => dirty.has(page)).map((page) => `${name}/${page}`)
  );
}

// Longer than what is compared between two looks at the stop word, and not a multiple of it.
const LARGE = 33 * MIB;

for (const options of [{}, { packed: true }, { packed: true, pageSize: 65536 }]) {
  Deno.test(`HashScan.run() finds exactly what changed, wherever it is: ${JSON.stringify(options)}`, () => {
    const { ram, scan } = sentRam([3 * 65536, LARGE, 65536], options);
    assertEquals(scan.run(), 0);
    const last = ram.blocks[1]!.pageCount - 1;
    const middle = 16 * MIB / ram.pageSize;
    const changes = [[0, 0], [0, 2], [1, 0], [1, middle - 1], [1, middle], [1, last], [2, 0]];
    for (const [block, page] of changes as [number, number][]) {
      ram.blocks[block]!.view((page + 1) * ram.pageSize - 1, 1)[0] = 1;
    }
    assertEquals(scan.run(), changes.length);
    assertEquals(dirtyPages(ram), changes.map(([block, page]) => `block${block}/${page}`));
    assertEquals(scan.run(), 0, "they are marked already");
  });
}

Deno.test("HashScan.run() forgets nothing that others had marked", () => {
  const { ram, scan } = sentRam([64 * 4096], {});
  ram.blocks[0]!.dirty.add(5);
  assertEquals(scan.run(), 0);
  assertEquals(dirtyPages(ram), ["block0/5"]);
});

Deno.test("HashScan.run() ends at the stop word, with what it had found until then", () => {
  const { ram, stop, scan } = sentRam([4096], {});
  ram.blocks[0]!.view(0, 1)[0] = 1;
  stop[0] = 1;
  assertEquals([scan.run(), dirtyPages(ram)], [0, []]);
  stop[0] = 0;
  assertEquals([scan.run(), dirtyPages(ram)], [1, ["block0/0"]]);
});

Deno.test("HashScan.run() passes over blocks without bytes, and RAM without blocks", () => {
  assertEquals(sentRam([0, 4096, 0], {}).scan.run(), 0);
  assertEquals(sentRam([], {}).scan.run(), 0);
});
