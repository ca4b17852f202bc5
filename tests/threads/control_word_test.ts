import { assertEquals, assertNotEquals } from "@std/assert";
import {
  COMMANDS,
  ControlWord,
  decodeOrder,
  encodeOrder,
  THROTTLE_MAX,
} from "../../src/threads/control_word.ts";

Deno.test("encodeOrder() and decodeOrder() agree on every order", () => {
  for (const command of COMMANDS) {
    for (const throttle of [0, 1, 50, THROTTLE_MAX]) {
      for (const marks of [false, true]) {
        for (const presence of [false, true]) {
          const order = { command, throttle, marks, presence };
          for (const sequence of [0, 1, 2 ** 21 - 1, 2 ** 21]) {
            assertEquals(decodeOrder(encodeOrder(order, sequence)), order);
          }
        }
      }
    }
  }
});

Deno.test("ControlWord.order() changes what is named and always gives another word", () => {
  const control = ControlWord.create();
  assertEquals(control.current.command, "pause");
  assertNotEquals(control.word, control.acknowledged);
  control.order({ throttle: 40, marks: true });
  const word = control.order({ command: "run" });
  assertEquals(control.word, word);
  assertEquals(control.current, { command: "run", throttle: 40, marks: true, presence: false });
  assertNotEquals(control.order({ command: "run" }), word);
});

Deno.test("ControlWord.order() goes on when the sequence wraps", () => {
  const control = ControlWord.create();
  for (let i = 0; i < 2 ** 21 + 10; i++) {
    const old = control.word;
    assertEquals(control.order({ throttle: i % 100 }) === old, false);
  }
  assertEquals(control.current.command, "pause");
});

Deno.test("ControlWord.waitAsync() returns at the next order, and at once for an old word", async () => {
  const control = ControlWord.create();
  const old = control.word;
  const waiting = control.waitAsync(old, 60_000);
  control.order({ command: "run" });
  await waiting;
  await control.waitAsync(old, 60_000);
});

Deno.test("ControlWord counts in shared memory", () => {
  const control = ControlWord.create();
  const seenElsewhere = new ControlWord(control.memory);
  control.count("pages", 5n);
  control.count("pages", 2n ** 33n);
  control.countStep();
  assertEquals(seenElsewhere.counter("pages"), 5 + 2 ** 33);
  assertEquals(seenElsewhere.counter("steps"), 1);
  control.acknowledge(control.word);
  assertEquals(seenElsewhere.acknowledged, control.word);
});
