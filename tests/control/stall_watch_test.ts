import { assert, assertEquals } from "@std/assert";
import { STALL_LIMIT_MS, StallWatch, type Watched } from "../../src/control/stall_watch.ts";
import { ConnectionLostError } from "../../src/errors.ts";

const LIMIT = 50;

/** What can be watched, and what is said of it: by the clock, as long as it takes. */
class Watching implements Disposable {
  channels: { waitingFor: string[]; passed: number }[];
  readonly #watch: StallWatch;
  #looked: () => void = () => {};
  #reported: (error: ConnectionLostError) => void = () => {};
  reports = 0;

  constructor(...channels: Watched[]) {
    this.channels = channels.map((each) => ({ ...each, waitingFor: [...each.waitingFor] }));
    this.#watch = new StallWatch(
      () => {
        this.#looked();
        return this.channels;
      },
      (error) => {
        this.reports++;
        this.#reported(error);
      },
      LIMIT,
    );
  }

  report(): Promise<ConnectionLostError> {
    return new Promise((resolve) => this.#reported = resolve);
  }

  /** Waits for so many looks, which is at least as long as it takes to report twice. */
  async looks(count: number, each: () => void = () => {}): Promise<void> {
    for (let i = 0; i < count; i++) {
      await new Promise<void>((resolve) => this.#looked = resolve);
      each();
    }
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}

Deno.test("StallWatch reports channels that are waited for and do nothing, by name", async () => {
  using watching = new Watching(
    { waitingFor: ["main"], passed: 5 },
    { waitingFor: ["multifd 1", "multifd 3"], passed: 7 },
  );
  const error = await watching.report();
  assert(error instanceof ConnectionLostError);
  assertEquals(error.place.channel, "main, multifd 1, multifd 3");
  assert(error.message.includes("Nothing has passed"), error.message);
});

Deno.test("StallWatch says nothing while anything passes anywhere", async () => {
  using watching = new Watching(
    { waitingFor: ["main"], passed: 5 },
    { waitingFor: ["multifd 1"], passed: 7 },
  );
  await watching.looks(30, () => watching.channels[1]!.passed++);
  assertEquals(watching.reports, 0);
  await watching.report();
});

Deno.test("StallWatch says nothing while nobody waits", async () => {
  using watching = new Watching({ waitingFor: [], passed: 5 });
  await watching.looks(30);
  assertEquals(watching.reports, 0);
});

Deno.test("StallWatch reports within seconds by default, and is silent once disposed of", async () => {
  assert(STALL_LIMIT_MS <= 15_000);
  const watching = new Watching({ waitingFor: ["main"], passed: 5 });
  watching[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 2 * LIMIT));
  assertEquals(watching.reports, 0);
});
