import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { addressOf } from "../../src/os/host_memory.ts";
import { Pagemap } from "../../src/os/pagemap.ts";
import { probeHost } from "../../src/os/probe.ts";
import { provide } from "../../src/os/provide.ts";

const LENGTH = 12 * 1024 ** 2;

/** Two memories, and how many of their bytes the kernel has provided. */
function setUp() {
  const memories = [0, 1].map(() => {
    const pages = LENGTH / 65536;
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  });
  const ranges = memories.map((memory) => {
    const start = addressOf(memory)!;
    return { start, end: start + LENGTH };
  });
  const provided = () => {
    const pagemap = Pagemap.open();
    assert(typeof pagemap !== "number");
    let bytes = 0;
    for (const { start, end } of ranges) {
      for (let at = start; at < end; at = pagemap.resumeAt) {
        const count = pagemap.find("content", at, end);
        for (let i = 0; i < count; i++) bytes += pagemap.rangeEnd(i) - pagemap.rangeStart(i);
      }
    }
    pagemap.close();
    return bytes;
  };
  return { memories, ranges, provided, stop: new SharedArrayBuffer(4) };
}

const ignore = probeHost().pageContent !== undefined;

Deno.test({
  name: "provide() has the kernel provide all ranges, and leaves their bytes alone",
  ignore,
  fn() {
    const { memories, ranges, provided, stop } = setUp();
    const bytes = new Uint8Array(memories[1]!.buffer);
    bytes[5_000_000] = 17;
    provide({ ranges, stop });
    assertEquals(provided(), 2 * LENGTH);
    assertEquals([bytes[5_000_000], bytes[5_000_001]], [17, 0]);
  },
});

Deno.test({
  name: "provide() does nothing once its stop word is set",
  ignore,
  fn() {
    const { ranges, provided, stop } = setUp();
    new Int32Array(stop)[0] = 1;
    provide({ ranges, stop });
    assertEquals(provided(), 0);
  },
});

Deno.test({
  name: "provide() gives up quietly where there is no memory",
  ignore,
  fn() {
    provide({ ranges: [{ start: 4096, end: 8192 }], stop: new SharedArrayBuffer(4) });
  },
});
