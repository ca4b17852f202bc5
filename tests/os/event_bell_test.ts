import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { EventBell } from "../../src/os/event_bell.ts";
import { FaultReader } from "../../src/os/fault_reader.ts";
import { libcProblem } from "../../src/os/libc.ts";
import { probeHost } from "../../src/os/probe.ts";
import { closeUserfaultfd, openUserfaultfd } from "../../src/os/userfaultfd.ts";

Deno.test({
  name: "EventBell ends a wait for faults, also one that begins later, until it is cleared",
  ignore: libcProblem() !== undefined || probeHost().missingPages !== undefined,
  fn() {
    const bell = EventBell.create();
    assert(typeof bell !== "number");
    const uffd = openUserfaultfd();
    assert(typeof uffd !== "number");
    const reader = new FaultReader(uffd.fd, bell.fd);
    new EventBell(bell.fd).ring();
    bell.ring();
    // A silent bell would make this wait for ever.
    assertEquals(reader.wait(-1), 0);
    assertEquals(reader.wait(-1), 0);
    bell.clear();
    const before = performance.now();
    assertEquals(reader.wait(20), 0);
    assert(performance.now() - before >= 19, "it waited");
    bell.clear();
    closeUserfaultfd(uffd.fd);
    bell.close();
  },
});
