/**
 * The most important promise: whatever the connection does and whenever it does it, the machine never runs on
 * both sides, and before the handover it never runs on neither.
 *
 * A tiny machine's stream is cut in its last part, both ways, after each single byte where that can matter; and
 * stalled there, with the cut or the user's cancel afterwards.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { CancelledError, HandoverUnknownError, StateError } from "../../src/errors.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { contentOf, Pair, settings } from "../control/fixtures/pair.ts";
import { Tap } from "../support/tap.ts";

/** How many migrations run at the same time. */
const AT_ONCE = 4;

/** What the two sides made of it. */
interface Outcome {
  readonly sourceRuns: boolean;
  readonly destinationRuns: boolean;
  readonly sourceError: unknown;
  readonly destinationError: unknown;
  /** What the destination got, and the source. */
  readonly forward: Uint8Array;
  readonly back: Uint8Array;
  readonly what: string;
}

/** A fault: planned before the connection is there, and acted on while it is. */
interface Fault {
  readonly plan?: (tap: Tap) => void;
  readonly act?: (tap: Tap, cancel: () => void) => Promise<void>;
}

interface Way {
  readonly uri: string;
  readonly returnPath: boolean;
}

async function migrate(way: Way, { plan, act }: Fault): Promise<Outcome> {
  await using pair = await Pair.create({ blocks: { ram: 2 } });
  const path = way.uri.startsWith("unix:") ? await Deno.makeTempDir() : undefined;
  try {
    const incoming = pair.receive({
      uri: parseUri(path ? `unix:${path}/destination` : way.uri),
    });
    await using tap = new Tap({ to: formatUri(await incoming.listening) });
    plan?.(tap);
    const outgoing = pair.send(tap.uri, settings({ "return-path": way.returnPath }));
    const [source, destination] = await Promise.allSettled([
      outgoing.completed,
      incoming.completed,
      act?.(tap, () => outgoing.cancel()),
    ]);
    const sourceRuns = pair.source.running;
    const destinationRuns = pair.destination.running;
    const sourceError = source.status === "rejected" ? source.reason : undefined;
    const destinationError = destination.status === "rejected" ? destination.reason : undefined;
    assertEquals(
      outgoing.status,
      !sourceError ? "completed" : sourceError instanceof CancelledError ? "cancelled" : "failed",
    );
    assertEquals(incoming.status, destinationError ? "failed" : "completed");
    if (destinationRuns) {
      assertEquals(contentOf(pair.destination, "ram"), contentOf(pair.source, "ram"));
    }
    return {
      ...{ sourceRuns, destinationRuns, sourceError, destinationError },
      forward: tap.forward().bytes,
      back: tap.back().bytes,
      what: `source ${pair.source.runState} (${sourceError ?? "completed"}), ` +
        `destination ${pair.destination.runState} (${destinationError ?? "completed"})`,
    };
  } finally {
    if (path) await Deno.remove(path, { recursive: true });
  }
}

/** Runs a fault for each number, some at a time. */
async function forEach(
  numbers: readonly number[],
  check: (number: number) => Promise<void>,
): Promise<void> {
  const left = [...numbers];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await check(next);
  }));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/**
 * All of these places that are near one where something changes, and some of the others: in the middle of a device's
 * state or of the description one byte is like the next. `tests/hostile` ends a stream after every single byte.
 */
function near(changes: readonly number[], places: readonly number[], distance = 12): number[] {
  const isNear = (place: number) => changes.some((at) => Math.abs(place - at) <= distance);
  return places.filter((place) => isNear(place) || place % 7 === 0);
}

/** Where the byte stands that ends the stream: in front of the description. */
function endOf(stream: Uint8Array): number {
  const text = Array.from(stream, (byte) => String.fromCharCode(byte)).join("");
  const end = text.lastIndexOf('{"configuration"') - 6;
  assertEquals([stream[end], stream[end + 1]], [0x00, 0x06]);
  return end;
}

/** Where the END of the `ram` section stands: in front of the last footers. */
function lastPartOf(stream: Uint8Array, end: number): number {
  const text = Array.from(stream, (byte) => String.fromCharCode(byte)).join("");
  return text.lastIndexOf("\x03", text.lastIndexOf("globalstate", end));
}

/** What holds for every outcome. */
function checkOutcome(outcome: Outcome): void {
  const { sourceRuns, destinationRuns, sourceError, destinationError, what } = outcome;
  assert(!(sourceRuns && destinationRuns), `Both run: ${what}`);
  if (destinationRuns) assert(!destinationError, `It runs and says that it failed: ${what}`);
  if (!sourceError) assert(!sourceRuns, `It completed and runs: ${what}`);
  if (sourceError instanceof HandoverUnknownError) assert(!sourceRuns, what);
  else if (sourceError) assert(sourceRuns, `The source failed and does not run: ${what}`);
}

/** And with a return path: nothing is called a success that is not one. */
function checkConfirmed(outcome: Outcome): void {
  checkOutcome(outcome);
  if (!outcome.sourceError) assert(outcome.destinationRuns, `The machine is lost: ${outcome.what}`);
}

for (const uri of ["tcp:127.0.0.1:0", "unix:"]) {
  const way: Way = { uri, returnPath: true };

  Deno.test(`A cut anywhere in the last part leaves one machine (${uri})`, async () => {
    const whole = await migrate(way, {});
    checkConfirmed(whole);
    assert(whole.destinationRuns);
    const end = endOf(whole.forward);
    const from = uri === "unix:" ? end - 12 : lastPartOf(whole.forward, end);
    const to = uri === "unix:" ? end + 12 : whole.forward.length;
    await forEach(near([from, end, whole.forward.length], range(from, to)), async (cut) => {
      const outcome = await migrate(way, { plan: (tap) => tap.cutAfter(cut) });
      checkConfirmed(outcome);
      const what = `Cut after ${cut} bytes, the stream's end is ${end}: ${outcome.what}`;
      if (cut <= end) {
        assert(!outcome.destinationRuns, what);
        assert(outcome.sourceRuns, what);
      } else {
        assert(outcome.destinationRuns, what);
        if (cut < whole.forward.length) assertInstanceOf(outcome.sourceError, HandoverUnknownError);
      }
    });
  });

  Deno.test(`A cut anywhere in the return path leaves one machine (${uri})`, async () => {
    const whole = await migrate(way, {});
    // PONG, PONG, SHUT: 8 bytes each.
    assertEquals(whole.back.length, 24);
    const cuts = uri === "unix:" ? near([8, 16, 24], range(1, 24), 1) : range(1, 24);
    await forEach(cuts, async (cut) => {
      const outcome = await migrate(way, { plan: (tap) => tap.back().cutAfter(cut) });
      checkConfirmed(outcome);
      const what = `Cut after ${cut} bytes of the return path: ${outcome.what}`;
      if (cut < 16) assert(outcome.sourceRuns, what);
      if (cut > 16) assert(outcome.destinationRuns, what);
      if (cut < 24 && outcome.destinationRuns) {
        assertInstanceOf(outcome.sourceError, HandoverUnknownError, what);
      }
    });
  });
}

const TCP: Way = { uri: "tcp:127.0.0.1:0", returnPath: true };

Deno.test("A stall and then a cut around the handover leaves one machine", async () => {
  const whole = await migrate(TCP, {});
  const end = endOf(whole.forward);
  await forEach(near([end], range(end - 10, end + 10), 2), async (at) => {
    const outcome = await migrate(TCP, {
      plan: (tap) => tap.forward().stallAfter(at),
      act: async (tap) => {
        await tap.forward().waitFor(at);
        // What the destination answers to what it has got: the second PONG once the PING has passed.
        await tap.back().waitFor(at >= end ? 16 : 8);
        if (at > end) await tap.back().waitFor(24);
        tap.cut();
      },
    });
    checkConfirmed(outcome);
    const what = `Stalled after ${at} bytes, the stream's end is ${end}: ${outcome.what}`;
    assertEquals(outcome.destinationRuns, at > end, what);
    if (at < end) assert(outcome.sourceRuns, what);
  });
});

Deno.test("A stall and then a cut of the return path leaves one machine", async () => {
  await forEach(near([8, 16, 24], range(1, 23), 1), async (at) => {
    const outcome = await migrate(TCP, {
      plan: (tap) => tap.back().stallAfter(at),
      act: async (tap) => {
        await tap.back().waitFor(at);
        tap.cut();
      },
    });
    checkConfirmed(outcome);
    const what = `Stalled after ${at} bytes of the return path: ${outcome.what}`;
    if (at < 16) assert(outcome.sourceRuns, what);
    if (at > 16) assert(outcome.destinationRuns, what);
  });
});

Deno.test("A cancel while the connection stalls before the handover leaves the source's", async () => {
  const whole = await migrate(TCP, {});
  const end = endOf(whole.forward);
  const places = [1, 8, 20, 60, 300, 5000, end - 150, end - 100, end - 9, end - 1];
  await forEach(places, async (at) => {
    const outcome = await migrate(TCP, {
      plan: (tap) => tap.forward().stallAfter(at),
      act: async (tap, cancel) => {
        await tap.forward().waitFor(at);
        cancel();
        // The source has closed its side: what it had written before may come now.
        tap.resume();
      },
    });
    checkConfirmed(outcome);
    assertInstanceOf(outcome.sourceError, CancelledError);
    assert(outcome.sourceRuns, outcome.what);
  });
});

Deno.test("A cancel after the handover is refused", async () => {
  let refusal: unknown;
  const outcome = await migrate(TCP, {
    // The destination's last word is held back: it runs, and the source does not know.
    plan: (tap) => tap.back().stallAfter(16),
    act: async (tap, cancel) => {
      const end = endOf((await migrate(TCP, {})).forward);
      await tap.forward().waitFor(end + 1);
      try {
        cancel();
      } catch (error) {
        refusal = error;
      }
      tap.resume();
    },
  });
  checkConfirmed(outcome);
  assertInstanceOf(refusal, StateError);
  assert(outcome.destinationRuns, outcome.what);
  assertEquals(outcome.sourceError, undefined);
});

Deno.test("Without a return path, a cut never lets both run", async () => {
  const way: Way = { uri: "tcp:127.0.0.1:0", returnPath: false };
  const whole = await migrate(way, {});
  checkConfirmed(whole);
  assertEquals(whole.back.length, 0);
  const end = endOf(whole.forward);
  await forEach([1, 9, 100, 4000, ...range(end - 10, end + 4)], async (cut) => {
    const outcome = await migrate(way, { plan: (tap) => tap.cutAfter(cut) });
    // Nobody tells the source what came: what a relay took and lost, the source believes delivered.
    checkOutcome(outcome);
    assertEquals(outcome.destinationRuns, cut > end, outcome.what);
  });
});
