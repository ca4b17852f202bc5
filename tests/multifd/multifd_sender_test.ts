import { assert, assertEquals, assertRejects } from "@std/assert";
import { PageScan } from "../../src/batch/page_scan.ts";
import { CancelledError, type MigrationError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { MODERN_DIALECT, type MultifdDialect } from "../../src/multifd/dialect.ts";
import type { MultifdCompression } from "../../src/multifd/method.ts";
import { MultifdReceiver } from "../../src/multifd/multifd_receiver.ts";
import { MultifdSender } from "../../src/multifd/multifd_sender.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import { assertSameRam, patternedRam, SPECS } from "../ram/fixtures/patterned_ram.ts";
import { withPatience } from "../support/event_log.ts";
import { connections, openSockets } from "./fixtures/connections.ts";

const NO_TROUBLE = () => {};

interface SetUpOptions {
  readonly channels: number;
  readonly compression?: MultifdCompression;
  readonly dialect?: MultifdDialect;
  readonly handOff?: "descriptor" | "bridge";
}

async function setUp(ram: GuestRam, options: SetUpOptions) {
  const { compression = { method: "none", level: 0 }, handOff } = options;
  const { from, to } = await connections(options.channels, handOff ? { handOff } : {});
  const failures: MigrationError[] = [];
  const failed = Promise.withResolvers<void>();
  const onFailure = (error: MigrationError) => {
    failures.push(error);
    failed.resolve();
  };
  const received = GuestRam.create(SPECS);
  const receiver = new MultifdReceiver({ channels: to, compression, onFailure });
  receiver.start(received);
  const sender = new MultifdSender({
    channels: from.map((endpoint) => endpoint.handOff()),
    ...{ ram, compression, onFailure, detectZero: true, progress: new Progress() },
    dialect: options.dialect ?? MODERN_DIALECT,
  });
  return {
    ...{ sender, receiver, received, failures },
    failed: () => withPatience(failed.promise, "a failure"),
    async [Symbol.asyncDispose]() {
      await sender[Symbol.asyncDispose]();
      await receiver[Symbol.asyncDispose]();
      await Promise.all(from.map((endpoint) => endpoint.close()));
    },
  };
}

async function sendAll(sender: MultifdSender, ram: GuestRam, pagesAtOnce = 64): Promise<void> {
  const scan = new PageScan(ram);
  while (scan.pushBatch(await sender.ringWithRoom(NO_TROUBLE), pagesAtOnce) > 0);
}

for (const channels of [1, 2, 5, 16]) {
  Deno.test(`MultifdSender and MultifdReceiver move RAM over ${channels} channels`, async () => {
    const ram = patternedRam(true);
    await using both = await setUp(ram, { channels });
    const { sender, receiver, received } = both;
    await sendAll(sender, ram, 8);
    await sender.sync(NO_TROUBLE);
    let met = 0;
    await receiver.meet(NO_TROUBLE, () => {
      assertSameRam(received, ram);
      met++;
    });
    assertEquals(met, 1);
    await sender.end(NO_TROUBLE);
    await sender.ended();
    assertEquals([sender.pending, sender.waitingFor], [0, []]);
    assertEquals(
      sender.counters.map(({ name }) => name),
      receiver.counters.map(({ name }) => name),
    );
    assertEquals(sender.counters.at(-1)!.name, `multifd ${channels - 1}`);
    const pages = sender.counters.map(({ counters }) =>
      counters.get("normalPages") + counters.get("zeroPages")
    );
    assertEquals(pages.reduce((sum, each) => sum + each), 237);
    assertEquals(sender.passed, receiver.passed);
    assertEquals(both.failures, []);
  });
}

for (const method of ["zlib", "zstd"] as const) {
  for (const codec of ["handle", "stream"] as const) {
    const handOff = codec === "stream" ? "bridge" : "descriptor";
    Deno.test(`MultifdSender and MultifdReceiver with ${method} over ${codec}s and ${handOff}s`, async () => {
      const ram = patternedRam(true);
      const compression = { method, level: 1, codec };
      await using both = await setUp(ram, { channels: 3, compression, handOff });
      const { sender, receiver, received } = both;
      for (let round = 0; round < 3; round++) {
        for (const block of ram.blocks) {
          block.view(4096, 4096).fill(round + 1);
          block.dirty.fill(0, block.pageCount, true);
        }
        await sendAll(sender, ram, 16);
        await sender.sync(NO_TROUBLE);
        await receiver.meet(NO_TROUBLE, () => assertSameRam(received, ram));
      }
      await sender.end(NO_TROUBLE);
      await sender.ended();
      assertEquals(both.failures, []);
    });
  }
}

Deno.test("MultifdSender follows its dialect", async () => {
  for (const syncEachSection of [true, false]) {
    const dialect = { syncEachSection, zeroLists: true };
    await using both = await setUp(patternedRam(true), { channels: 1, dialect });
    assertEquals(both.sender.channelSync.eachSection, syncEachSection);
  }
});

Deno.test("MultifdSender.ringWithRoom() and drained() end with what their check throws", async () => {
  await using both = await setUp(patternedRam(true), { channels: 2 });
  const check = () => {
    throw new CancelledError("enough");
  };
  for (const wait of ["ringWithRoom", "drained", "sync", "end"] as const) {
    await assertRejects(async () => void await both.sender[wait](check), CancelledError, "enough");
  }
});

Deno.test("MultifdSender names the channel that fails when its peer ends it", async () => {
  const ram = patternedRam(true);
  const { from, to } = await connections(2);
  const failed = Promise.withResolvers<MigrationError>();
  await using sender = new MultifdSender({
    channels: from.map((endpoint) => endpoint.handOff()),
    ...{ ram, detectZero: false, progress: new Progress(), dialect: MODERN_DIALECT },
    compression: { method: "none", level: 0 },
    onFailure: failed.resolve,
  });
  await to[1]!.close();
  const check = () => {
    if (over) throw over;
  };
  let over: MigrationError | undefined;
  failed.promise.then((error) => over = error);
  await assertRejects(async () => {
    for (;;) {
      for (const block of ram.blocks) block.dirty.fill(0, block.pageCount, true);
      const scan = new PageScan(ram);
      while (scan.pushBatch(await sender.ringWithRoom(check), 4) > 0);
    }
  });
  assertEquals((await withPatience(failed.promise, "the failure")).place.channel, "multifd 1");
  await to[0]!.close();
});

Deno.test("MultifdSender's pages that were handed out and not sent are still dirty after its end", async () => {
  const ram = GuestRam.create([{ name: "ram", length: 64 * 1024 ** 2 }]);
  const [block] = ram.blocks;
  block!.dirty.fill(0, block!.pageCount, true);
  const { from, to } = await connections(1);
  const sender = new MultifdSender({
    channels: from.map((endpoint) => endpoint.handOff()),
    ...{ ram, detectZero: false, progress: new Progress(), dialect: MODERN_DIALECT },
    compression: { method: "none", level: 0 },
    onFailure: () => {},
  });
  // Nobody reads: after what the kernel holds, the worker's rings fill up.
  const scan = new PageScan(ram);
  let full = false;
  while (!full) {
    let looks = 0;
    try {
      await sender.ringWithRoom(() => {
        if (++looks > 2) throw new CancelledError("full");
      }).then((ring) => scan.pushBatch(ring, 512));
    } catch {
      full = true;
    }
  }
  assertEquals(sender.waitingFor, ["multifd 0"]);
  const before = sender.pending;
  await sender[Symbol.asyncDispose]();
  const sent = sender.counters[0]!.counters.get("normalPages");
  assert(sent < scan.position.page && before > 0);
  assert(
    block!.dirty.count() >= block!.pageCount - sent - 512,
    "at most the batch at hand is lost",
  );
  await to[0]!.close();
});

Deno.test("MultifdSender and MultifdReceiver leave no socket behind, however they end", async () => {
  const ram = patternedRam(true);
  const before = openSockets();
  for (const end of ["orderly", "at once", "before start"] as const) {
    const both = await setUp(ram, { channels: 4 });
    assert(openSockets() >= before + 4);
    if (end === "orderly") {
      await both.sender.end(NO_TROUBLE);
      await both.sender.ended();
    }
    await both[Symbol.asyncDispose]();
    assertEquals(openSockets(), before, end);
  }
});
