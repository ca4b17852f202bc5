import { assertEquals, assertRejects } from "@std/assert";
import { IncomingMultifd } from "../../src/control/incoming_multifd.ts";
import { changeParameters, defaultParameters } from "../../src/control/parameters.ts";
import { CancelledError, type MigrationError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { connections } from "../multifd/fixtures/connections.ts";
import { packet, pagesOf, syncPacket } from "../multifd/fixtures/packets.ts";
import { contentOf } from "../multifd/fixtures/ram.ts";
import { withPatience } from "../support/event_log.ts";

async function setUp(compression: "none" | "zlib" = "none") {
  const { from, to } = await connections(2);
  const ram = GuestRam.create([{ name: "b", length: 4 * 4096 }]);
  const rounds: string[] = [];
  let failure: MigrationError | undefined;
  const multifd: IncomingMultifd = new IncomingMultifd({
    channels: to,
    parameters: changeParameters(defaultParameters(), { "multifd-compression": compression }),
    handOff: undefined,
    onRoundEnd: () => rounds.push(contentOf(ram, "b").slice(0, 4096).toHex().slice(0, 2)),
    onFailure: (error) => {
      failure ??= error;
      multifd.wake();
    },
    check: () => {
      if (failure) throw failure;
    },
  });
  multifd.start(ram);
  const write = async (endpoint: Endpoint, ...parts: Uint8Array[]) => {
    for (const part of parts) await endpoint.writeHead(part);
  };
  return {
    ...{ multifd, ram, rounds, write, from },
    async sync(...pages: Uint8Array[]) {
      await write(from[0]!, ...pages, syncPacket());
      await write(from[1]!, syncPacket());
    },
    fail: (error: MigrationError) => failure = error,
    async [Symbol.asyncDispose]() {
      await multifd[Symbol.asyncDispose]();
      await Promise.all(from.map((endpoint) => endpoint.close()));
    },
  };
}

const page = (number: number) => packet({ block: "b", normal: [0], payload: pagesOf(number) });

Deno.test("IncomingMultifd meets the channels at each flush record, in the modern dialect", async () => {
  await using set = await setUp();
  const { multifd, rounds, sync } = set;
  await sync();
  await multifd.flush();
  // This end of a section is none of the channels', because the setup was flushed.
  await multifd.endOfPart("start");
  assertEquals(rounds, []);
  await sync(page(1));
  await multifd.flush();
  await multifd.endOfPart("part");
  assertEquals(rounds, [pagesOf(1).toHex().slice(0, 2)], "all have been sent a first time");
  await sync(page(2));
  await multifd.flush();
  await multifd.endOfPart("end");
  assertEquals([rounds.length, multifd.received], [1, 8 * 1344 + 2 * 4096]);
  assertEquals(multifd.counters.map(({ name }) => name), ["multifd 0", "multifd 1"]);
});

Deno.test("IncomingMultifd meets the channels at each section's end where the setup has no flush record", async () => {
  await using set = await setUp();
  const { multifd, rounds, sync } = set;
  for (const part of ["start", "part", "part"] as const) {
    await sync(page(3));
    await multifd.endOfPart(part);
    assertEquals(rounds, []);
  }
  await sync(page(4));
  await multifd.endOfPart("end");
  assertEquals(rounds, [pagesOf(4).toHex().slice(0, 2)]);
});

Deno.test("IncomingMultifd takes the method of its parameters", async () => {
  await using set = await setUp("zlib");
  await set.write(set.from[1]!, page(1));
  await assertRejects(
    () => withPatience(set.multifd.flush(), "the failure"),
    Error,
    "compressed with none: this side expects zlib",
  );
});

Deno.test("IncomingMultifd's waits end with what its check throws", async () => {
  await using set = await setUp();
  await set.write(set.from[0]!, packet({ magic: 5 }));
  await assertRejects(
    () => withPatience(set.multifd.flush(), "the failure"),
    StreamFormatError,
    "magic 0x5",
  );
  await using other = await setUp();
  const waiting = other.multifd.endOfPart("start");
  other.fail(new CancelledError("enough"));
  other.multifd.wake();
  await assertRejects(() => withPatience(waiting, "the end"), CancelledError);
});
