import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  IncompatibleError,
  type MigrationError,
  StreamFormatError,
} from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { MultifdReceiver } from "../../src/multifd/multifd_receiver.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { withPatience } from "../support/event_log.ts";
import { connections, openSockets } from "./fixtures/connections.ts";
import { packet, pagesOf, syncPacket } from "./fixtures/packets.ts";
import { contentOf } from "./fixtures/ram.ts";

const NO_TROUBLE = () => {};

async function setUp(channels: number) {
  const { from, to } = await connections(channels);
  const failures: MigrationError[] = [];
  const ram = GuestRam.create([{ name: "b", length: 8 * 4096 }]);
  const receiver = new MultifdReceiver({
    channels: to,
    compression: { method: "none" },
    onFailure: (error) => failures.push(error),
  });
  return {
    ...{ from, receiver, ram, failures },
    /** Waits in `meet` until something has failed. */
    fails: async (): Promise<MigrationError> => {
      await withPatience(
        assertRejects(() =>
          receiver.meet(() => {
            if (failures[0]) throw failures[0];
          })
        ),
        "a failure",
      );
      return failures[0]!;
    },
    async [Symbol.asyncDispose]() {
      await receiver[Symbol.asyncDispose]();
      await Promise.all(from.map((endpoint) => endpoint.close()));
    },
  };
}

async function write(endpoint: Endpoint, ...parts: Uint8Array[]): Promise<void> {
  for (const part of parts) await endpoint.writeHead(part);
}

Deno.test("MultifdReceiver meets its channels when all have had their SYNC, and says whom it waits for", async () => {
  await using set = await setUp(3);
  const { receiver, from, ram } = set;
  assertEquals([receiver.waitingFor, receiver.passed], [[], 0]);
  receiver.start(ram);
  await write(from[2]!, packet({ block: "b", normal: [4096], payload: pagesOf(9) }), syncPacket());
  await write(from[0]!, syncPacket());
  const one = Promise.withResolvers<void>();
  const met = receiver.meet(() => {
    if (receiver.waitingFor.join() === "multifd 1") one.resolve();
  });
  await withPatience(one.promise, "two SYNCs");
  await write(from[1]!, packet({ block: "b", zero: [0] }), syncPacket());
  await met;
  assertEquals(receiver.waitingFor, []);
  assertEquals(contentOf(ram, "b").slice(4096, 8192), pagesOf(9));
  assertEquals(receiver.passed, 5 * 1344 + 4096);
});

Deno.test("MultifdReceiver holds a channel that is ahead", async () => {
  await using set = await setUp(2);
  const { receiver, from, ram } = set;
  receiver.start(ram);
  const page = (number: number) => packet({ block: "b", normal: [0], payload: pagesOf(number) });
  await write(from[0]!, page(1), syncPacket(), page(2), syncPacket());
  await write(from[1]!, syncPacket());
  await receiver.meet(
    NO_TROUBLE,
    () => assertEquals(contentOf(ram, "b").slice(0, 4096), pagesOf(1)),
  );
  await write(from[1]!, syncPacket());
  await receiver.meet(
    NO_TROUBLE,
    () => assertEquals(contentOf(ram, "b").slice(0, 4096), pagesOf(2)),
  );
});

const BAD = [
  ["magic", packet({ magic: 7 }), StreamFormatError],
  ["block", packet({ block: "other", zero: [0] }), IncompatibleError],
  ["offset", packet({ block: "b", zero: [8 * 4096] }), StreamFormatError],
] as const;
for (const [what, bytes, errorClass] of BAD) {
  Deno.test(`MultifdReceiver names the channel that had a bad ${what}`, async () => {
    await using set = await setUp(2);
    set.receiver.start(set.ram);
    await write(set.from[0]!, syncPacket());
    await write(set.from[1]!, packet({ block: "b", zero: [0] }), bytes);
    const error = await set.fails();
    assertEquals(error.constructor, errorClass);
    assertEquals(error.place, { channel: "multifd 1", offset: 64 + 1344 });
  });
}

Deno.test("MultifdReceiver names a channel whose connection is gone inside a packet", async () => {
  await using set = await setUp(2);
  set.receiver.start(set.ram);
  await write(
    set.from[0]!,
    packet({ block: "b", normal: [0], payload: pagesOf(1) }).slice(0, 3000),
  );
  await set.from[0]!.close();
  const error = await set.fails();
  assertEquals([error.constructor, error.place.channel], [ConnectionLostError, "multifd 0"]);
});

Deno.test("MultifdReceiver.meet() throws when the source has ended a channel without its SYNC", async () => {
  await using set = await setUp(2);
  set.receiver.start(set.ram);
  await write(set.from[0]!, syncPacket());
  await set.from[1]!.close();
  const error = await withPatience(
    assertRejects(() => set.receiver.meet(NO_TROUBLE), ConnectionLostError, "not synchronised"),
    "the end of the wait",
  );
  assertEquals([error.place.channel, set.failures], ["multifd 1", []]);
});

Deno.test("MultifdReceiver ends with channels that wait at the gate, for bytes, or were never started", async () => {
  const before = openSockets();
  for (const started of [true, false]) {
    const set = await setUp(3);
    if (started) {
      set.receiver.start(set.ram);
      await write(set.from[0]!, syncPacket());
      await write(set.from[1]!, syncPacket().slice(0, 100));
    }
    assert(openSockets() > before);
    await withPatience(set[Symbol.asyncDispose](), "the end");
    assertEquals(openSockets(), before);
    assertEquals(set.failures, []);
  }
});
