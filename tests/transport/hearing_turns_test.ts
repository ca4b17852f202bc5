import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { HearingTurns } from "../../src/transport/hearing_turns.ts";

Deno.test("A message that has come is heard within two turns of HearingTurns", async () => {
  using turns = new HearingTurns();
  const { port1, port2 } = new MessageChannel();
  const heard: unknown[] = [];
  port1.onmessage = ({ data }) => heard.push(data);
  for (let message = 0; message < 50; message++) {
    port2.postMessage(message);
    await turns.turn();
    await turns.turn();
    assertEquals(heard.at(-1), message);
  }
  port1.close();
  port2.close();
});

Deno.test("What waits for setImmediate() has its turn in each of HearingTurns", async () => {
  using turns = new HearingTurns();
  let had = 0;
  for (let turn = 1; turn <= 50; turn++) {
    setImmediate(() => had++);
    await turns.turn();
    assertEquals(had, turn);
  }
});
