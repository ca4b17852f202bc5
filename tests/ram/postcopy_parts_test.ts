import { assertEquals } from "@std/assert";
import { PostcopyParts } from "../../src/ram/postcopy_parts.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import { RequestQueue } from "../../src/threads/request_queue.ts";
import { patternedRam } from "./fixtures/patterned_ram.ts";

Deno.test("PostcopyParts knows how a part begins and ends, and whether somebody asks", () => {
  const queue = RequestQueue.create(new Progress());
  const parts = new PostcopyParts(
    { requests: queue.layout, sectionId: 0x0203, isUrgent: true },
    patternedRam(false),
  );
  assertEquals(parts.begin.toHex(), "0200000203");
  assertEquals(parts.end.toHex(), "00000000000000107e00000203");
  assertEquals(parts.isAsked, false);
  queue.push(0, 1, 1);
  assertEquals(parts.isAsked, true);
});
