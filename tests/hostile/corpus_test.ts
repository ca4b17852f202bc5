/**
 * Bad streams, from one that is no stream to one that lies in its last byte: each ends the destination with one
 * message that says what and where, nothing is written outside of RAM, and nothing is left behind.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigrationError } from "../../src/errors.ts";
import { loadInThread } from "./in_thread.ts";
import { RECIPES } from "./recipes.ts";
import { join, offsetOf, PAGE, type Parts, streamParts } from "./stream_parts.ts";
import { openDescriptors, threads, Victim } from "./victim.ts";

const PARTS = streamParts();

Deno.test("The stream that is spoiled is a good one", async () => {
  await using victim = await Victim.create();
  const { error, heard } = await victim.receive({ bytes: join(PARTS), answers: 16 });
  assertEquals(error, undefined);
  // PONG 1, PONG 0x46, SHUT 0.
  assertEquals(heard.toHex(), "000200040000000100020004000000460001000400000000");
  assertEquals(Uint8Array.from(victim.machine.ram.block("high")!.view(0, 4096)), PAGE);
  assertEquals(victim.machine.runState, "prelaunch");
});

Deno.test("Bad streams are refused", async (t) => {
  let victim = await Victim.create();
  for (const [i, { what, change, type, says, section }] of RECIPES.entries()) {
    await t.step(`one that ${what}`, async () => {
      // Only the connection's end shows that something is missing. Otherwise the bytes are enough; that an end
      // behind them does not hide what is wrong with them is tried with some.
      const ways = type === "ConnectionLostError" ? [false] : i % 3 === 0 ? [false, true] : [true];
      for (const stays of ways) {
        const bytes = join(change(PARTS));
        const { error, heard } = await victim.receive({ bytes, stays, answers: 8 });
        assert(error, "It was taken");
        assertEquals(error.name, type, error.message);
        assertStringIncludes(error.message, says);
        assertEquals(error.place.section, section, error.message);
        assertEquals(error.place.channel, "main");
        assert(error.place.offset! <= bytes.length, error.message);
        // A source that asked for it is told; unless it was cut off while it sent more.
        if (heard.length > 8) assertEquals(heard.subarray(-8).toHex(), "0001000400000001");
      }
    });
    if (victim.machine.runState === "inmigrate" || victim.machine.runState === "prelaunch") {
      continue;
    }
    // A state that its guest could not take has broken it.
    await victim[Symbol.asyncDispose]();
    victim = await Victim.create();
  }
  await victim[Symbol.asyncDispose]();
});

/** Nobody waits for an answer to it. */
function oneWayParts(): Parts {
  const parts = new Map(PARTS);
  for (const name of ["open return path", "ping", "ping loaded"]) parts.delete(name);
  return parts;
}

Deno.test("A stream that ends after any of its bytes is refused, up to the one that ends it", async () => {
  const parts = oneWayParts();
  const whole = join(parts);
  const end = offsetOf(parts, "end");
  await using victim = await Victim.create();
  for (let length = 0; length <= end; length++) {
    const error = await assertRejects(
      () => loadInThread(new MachineTarget(victim.machine), [whole.slice(0, length)]),
      MigrationError,
      "The stream ended inside",
      `after ${length} bytes`,
    );
    assert((error.place.offset ?? 0) <= length, error.message);
  }
  victim.checkUntouched();
});

Deno.test("A connection that ends between and in elements ends the destination", async () => {
  const parts = oneWayParts();
  const whole = join(parts);
  const end = offsetOf(parts, "end");
  const lengths = new Set([...parts.keys()].flatMap((name) => {
    const offset = offsetOf(parts, name);
    return [offset, offset + 3];
  }));
  await using victim = await Victim.create();
  for (const length of [...lengths].filter((length) => length <= end)) {
    const { error } = await victim.receive({ bytes: whole.slice(0, length) });
    assertEquals(error?.name, "ConnectionLostError", `after ${length}: ${error}`);
    assert(error!.place.offset! <= length, error!.message);
  }
});

Deno.test("What follows the stream's end is not waited for, whatever it is", async () => {
  const whole = join(PARTS);
  const end = offsetOf(PARTS, "description");
  const after = [
    new Uint8Array(0),
    Uint8Array.of(6),
    Uint8Array.of(6, 0, 0),
    Uint8Array.of(6, 0xff, 0xff, 0xff, 0xff),
    Uint8Array.of(6, 0, 0, 0x10, 0, 1, 2, 3),
    Uint8Array.of(0x42, 1, 2, 3),
    new Uint8Array(100_000).fill(6),
  ];
  for (const rest of after) {
    await using victim = await Victim.create();
    const bytes = new Uint8Array([...whole.subarray(0, end), ...rest]);
    const { error } = await victim.receive({ bytes, answers: 16 });
    assertEquals(error, undefined);
    assertEquals(victim.machine.runState, "prelaunch");
  }
});

Deno.test("Bad streams leave no descriptor and no thread behind", async () => {
  const attack = async () => {
    await using victim = await Victim.create();
    for (const { change } of RECIPES.filter((_, i) => i % 8 === 0)) {
      await victim.receive({ bytes: join(change(PARTS)), answers: 8 });
    }
  };
  await attack();
  const before = { descriptors: openDescriptors(), threads: threads() };
  await attack();
  // Ended workers go in their own time; a pool of the runtime may have grown by a thread.
  await until(() => openDescriptors() <= before.descriptors + 2);
  await until(() => threads() <= before.threads + 4);
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 3000 && !condition(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert(condition(), `${openDescriptors()} descriptors, ${threads()} threads`);
}
