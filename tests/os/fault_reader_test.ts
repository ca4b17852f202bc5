import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/os/errno.ts";
import { FaultReader } from "../../src/os/fault_reader.ts";
import { probeHost } from "../../src/os/probe.ts";
import { closeUserfaultfd, openUserfaultfd } from "../../src/os/userfaultfd.ts";

const lacks = probeHost();

Deno.test({
  name: "FaultReader.wait() gives 0 when nothing happens",
  ignore: lacks.missingPages !== undefined,
  fn() {
    const uffd = openUserfaultfd();
    assert(typeof uffd !== "number");
    const reader = new FaultReader(uffd.fd);
    assertEquals([reader.wait(0), reader.wait(1)], [0, 0]);
    closeUserfaultfd(uffd.fd);
  },
});

Deno.test({
  name: "FaultReader.wait() answers EBADF at once for a descriptor that is closed",
  ignore: lacks.ffi !== undefined,
  fn() {
    assertEquals(new FaultReader(987_654).wait(60_000), -Errno.EBADF);
  },
});
