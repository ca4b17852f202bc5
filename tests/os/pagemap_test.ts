import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/os/errno.ts";
import { addressOf, hostPageSize } from "../../src/os/host_memory.ts";
import { adviseSmallPages } from "../../src/os/madvise.ts";
import { Pagemap, type PageQuestion } from "../../src/os/pagemap.ts";
import { probeHost } from "../../src/os/probe.ts";
import {
  closeUserfaultfd,
  openUserfaultfd,
  register,
  UffdFeature,
  UffdMode,
  unregister,
} from "../../src/os/userfaultfd.ts";

const lacks = probeHost();
const PAGE = hostPageSize();
const PAGES = 4096;

/** Memory under a pagemap, in pages of the host. */
class Pages {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly pagemap: Pagemap;

  constructor(capacity?: number) {
    const size = PAGES * PAGE / 65536;
    const memory = new WebAssembly.Memory({ initial: size, maximum: size, shared: true });
    this.bytes = new Uint8Array(memory.buffer);
    this.start = addressOf(memory)!;
    // Where the kernel gives large pages unasked, a write would bring content to pages beside it.
    adviseSmallPages(this.start, PAGES * PAGE);
    const pagemap = Pagemap.open(capacity);
    assert(typeof pagemap !== "number");
    this.pagemap = pagemap;
  }

  write(...pages: number[]): void {
    for (const page of pages) this.bytes[page * PAGE + 123]!++;
  }

  /** The pages that are found, by calls until the answer is complete. */
  find(question: PageQuestion): number[] {
    const found: number[] = [];
    const end = this.start + PAGES * PAGE;
    for (let at = this.start; at < end; at = this.pagemap.resumeAt) {
      const count = this.pagemap.find(question, at, end);
      assert(count >= 0, `errno ${-count}`);
      for (let i = 0; i < count; i++) {
        let page = (this.pagemap.rangeStart(i) - this.start) / PAGE;
        while (page < (this.pagemap.rangeEnd(i) - this.start) / PAGE) found.push(page++);
      }
    }
    return found;
  }

  /** Puts all pages under write-protection; returns what undoes that. */
  watch(): () => void {
    const uffd = openUserfaultfd({ features: UffdFeature.writeProtectAsync, userModeOnly: true });
    assert(typeof uffd !== "number");
    assertEquals(register(uffd.fd, this.start, PAGES * PAGE, UffdMode.writeProtect), 0);
    return () => {
      assertEquals(unregister(uffd.fd, this.start, PAGES * PAGE), 0);
      closeUserfaultfd(uffd.fd);
    };
  }
}

Deno.test({
  name: "Pagemap finds content where something was written, not where something was read",
  ignore: lacks.pageContent !== undefined,
  fn() {
    const pages = new Pages();
    assertEquals(pages.find("content"), []);
    pages.write(0, 7, 8, PAGES - 1);
    assertEquals(pages.bytes[100 * PAGE], 0);
    assertEquals(pages.find("content"), [0, 7, 8, PAGES - 1]);
    pages.pagemap.close();
  },
});

Deno.test({
  name: "Pagemap finds written pages once, and again after they are written again",
  ignore: lacks.writeTracking !== undefined,
  fn() {
    const pages = new Pages();
    pages.write(1, 2, 500);
    const end = pages.watch();
    assertEquals(pages.find("written"), [1, 2, 500]);
    assertEquals(pages.find("written"), []);
    pages.write(2, 3, 1000);
    assertEquals(pages.find("written"), [2, 3, 1000]);
    assertEquals(pages.find("written"), []);
    pages.write(2);
    assertEquals(pages.find("written"), [2]);
    end();
    pages.pagemap.close();
  },
});

Deno.test({
  name: "Pagemap leaves pages that nobody touches out of both answers",
  ignore: lacks.writeTracking !== undefined,
  fn() {
    const pages = new Pages();
    const end = pages.watch();
    assertEquals(pages.find("written"), []);
    // Also after they were asked about, and read.
    assertEquals(pages.bytes[9 * PAGE], 0);
    assertEquals([pages.find("written"), pages.find("content")], [[], []]);
    pages.write(9, 10);
    assertEquals([pages.find("written"), pages.find("content")], [[9, 10], [9, 10]]);
    end();
    pages.pagemap.close();
  },
});

for (const capacity of [1, 2, 3, 511, 512, 513]) {
  Deno.test({
    name: `Pagemap finds every page with room for ${capacity} ranges a call`,
    ignore: lacks.writeTracking !== undefined,
    fn() {
      const pages = new Pages(capacity);
      const end = pages.watch();
      pages.find("written");
      // As many ranges as there is room for, and some more and less; the last at the very end.
      for (const ranges of [1, capacity - 1, capacity, capacity + 1, 2 * capacity, 1500]) {
        const written = Array.from({ length: ranges }, (_, i) => PAGES - 1 - 2 * i).reverse();
        pages.write(...written);
        assertEquals(pages.find("written"), written);
        assertEquals(pages.find("written"), []);
      }
      end();
      pages.pagemap.close();
    },
  });
}

Deno.test({
  name: "Pagemap answers EPERM for written pages of memory that is not watched",
  ignore: lacks.writeTracking !== undefined,
  fn() {
    const pages = new Pages();
    pages.write(0);
    const { pagemap, start } = pages;
    assertEquals(pagemap.find("written", start, start + PAGE), -Errno.EPERM);
    const end = pages.watch();
    assertEquals(pagemap.find("written", start, start + PAGE), 1);
    end();
    assertEquals(pagemap.find("written", start, start + PAGE), -Errno.EPERM);
    pagemap.close();
  },
});
