import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/os/errno.ts";
import { addressOf } from "../../src/os/host_memory.ts";
import { adviseHugePages, adviseSmallPages, discard, populate } from "../../src/os/madvise.ts";
import { Pagemap } from "../../src/os/pagemap.ts";
import { probeHost } from "../../src/os/probe.ts";

const lacks = probeHost();
const LENGTH = 1024 ** 2;

function makeMemory(): { bytes: Uint8Array; address: number } {
  const pages = LENGTH / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return { bytes: new Uint8Array(memory.buffer), address: addressOf(memory)! };
}

Deno.test({
  name: "populate() provides pages, discard() takes them away with what was on them",
  ignore: lacks.pageContent !== undefined,
  fn() {
    const { bytes, address } = makeMemory();
    const pagemap = Pagemap.open();
    assert(typeof pagemap !== "number");
    const content = () => pagemap.find("content", address, address + LENGTH);
    assertEquals(content(), 0);
    assertEquals(populate(address, LENGTH), 0);
    assertEquals([content(), pagemap.rangeEnd(0) - pagemap.rangeStart(0)], [1, LENGTH]);
    bytes[5000] = 1;
    assertEquals(discard(address, LENGTH), 0);
    assertEquals(content(), 0);
    assertEquals(bytes[5000], 0);
    pagemap.close();
  },
});

Deno.test({
  name: "adviseHugePages() and adviseSmallPages() leave the bytes alone",
  ignore: lacks.ffi !== undefined,
  fn() {
    const { bytes, address } = makeMemory();
    bytes[4096] = 9;
    for (const advise of [adviseHugePages, adviseSmallPages]) {
      // A kernel without large pages says EINVAL.
      assert([0, -Errno.EINVAL].includes(advise(address, LENGTH)));
    }
    assertEquals(bytes[4096], 9);
  },
});

Deno.test({
  name: "madvise functions return minus the errno for a range that is none",
  ignore: lacks.ffi !== undefined,
  fn() {
    assertEquals(populate(makeMemory().address + 1, LENGTH), -Errno.EINVAL);
  },
});
