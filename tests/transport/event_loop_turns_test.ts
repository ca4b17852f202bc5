import { assertEquals } from "@std/assert";
import { EventLoopTurns } from "../../src/transport/event_loop_turns.ts";

Deno.test("EventLoopTurns.due() says so each time 8 MiB have moved", () => {
  const turns = new EventLoopTurns();
  const due = Array.from({ length: 40 }, () => turns.due(1 << 20));
  assertEquals(due.map((is, i) => is ? i : -1).filter((i) => i >= 0), [7, 15, 23, 31, 39]);
});
