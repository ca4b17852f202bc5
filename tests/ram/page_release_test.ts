import { assertEquals } from "@std/assert";
import { PageRelease } from "../../src/ram/page_release.ts";
import { libc } from "../../src/os/libc.ts";
import "../support/load_libc.ts";
import { patternedRam, SPECS } from "./fixtures/patterned_ram.ts";

for (const packed of [false, true]) {
  Deno.test({
    name: `PageRelease gives back what is written, and nothing before (packed: ${packed})`,
    ignore: !libc(),
    fn() {
      const ram = patternedRam(packed);
      const [low, pc] = ram.blocks;
      const before = patternedRam(packed);
      const release = new PageRelease(ram);
      const gone = (block: number, page: number) =>
        ram.blocks[block]!.view(page * 4096, 4096).every((byte) => byte === 0);
      release.note(low!, { runs: Int32Array.of(1, 2), count: 1 });
      release.note(pc!, { runs: Int32Array.of(4, 1, 7, 2, 10, 90), count: 2 });
      release.writing();
      release.note(pc!, { runs: Int32Array.of(20, 1), count: 1 });
      assertEquals([gone(0, 1), gone(1, 4)], [false, false]);
      release.written();
      assertEquals([gone(0, 1), gone(0, 2), gone(0, 4)], [true, true, false]);
      assertEquals([4, 5, 7, 8, 10, 20].map((page) => gone(1, page)), [
        ...[true, false, true],
        ...[true, false, false],
      ]);
      release.writing();
      release.written();
      assertEquals([gone(1, 10), gone(1, 20)], [false, true]);
      const others = (each: typeof ram) =>
        Uint8Array.from(each.blocks[2]!.view(0, SPECS[2]!.length));
      assertEquals(others(ram), others(before));
      // A list that has to grow.
      for (let page = 100; page < 200; page++) {
        release.note(pc!, { runs: Int32Array.of(page, 1), count: 1 });
      }
      release.writing();
      release.written();
      assertEquals([gone(1, 100), gone(1, 199)], [true, true]);
    },
  });
}
