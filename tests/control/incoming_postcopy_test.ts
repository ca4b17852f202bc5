import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MachineTarget } from "../../src/control/machine_target.ts";
import {
  ConnectionLostError,
  StateError,
  StreamFormatError,
  TransportError,
} from "../../src/errors.ts";
import { RamFlag } from "../../src/ram/flags.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import type { SectionLoader } from "../../src/savevm/load.ts";
import type { FullSectionHeader } from "../../src/wire/section.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { Command, writeCommand } from "../../src/wire/command.ts";
import { connectTo, writeAll } from "../support/sockets.ts";
import { until } from "../machine/fixtures/until.ts";
import { KINDS } from "../postcopy/fixtures/missing.ts";
import { ANY_PORT, PAGES, Postcopy } from "./fixtures/incoming_postcopy.ts";
import type { ScriptedSource } from "./fixtures/scripted_source.ts";
import { Pair, settings } from "./fixtures/pair.ts";

for (const wantedFaults of KINDS) {
  for (const preempt of [false, true]) {
    const how = `${wantedFaults}${preempt ? ", with a preempt channel" : ""}`;
    Deno.test(`A guest runs before its pages have come (${how})`, async () => {
      await using postcopy = await Postcopy.begin({ wantedFaults }, {
        "postcopy-preempt": preempt,
      });
      const { source, incoming, to } = postcopy;
      await source.begin(postcopy.uri, 40);
      if (preempt) await source.openPreempt(postcopy.uri);
      await source.give();
      await postcopy.reached("RESUME");
      // It asks for every page it uses, and nothing else is sent.
      await until(() => to.counters.pages >= 2 * PAGES);
      assert(source.requested.length >= PAGES - 40, `${source.requested.length} requests`);
      assertEquals(new Set(source.requested).size, PAGES - 40 + 3, "each page once");
      assertEquals(incoming.status, "postcopy-active");
      await source.finish();
      const info = await incoming.completed;
      assertEquals(postcopy.events.entries, [
        ...["setup", "active", "postcopy-device", "postcopy-active", "RESUME", "completed"],
      ]);
      assertEquals(info["postcopy-faults"]?.split(":")[0], wantedFaults);
      await source.said.wait((said) => said.type === "SHUT" && said.status === 0, { what: "SHUT" });
      await postcopy.verify();
    });
  }
}

for (const wantedFaults of KINDS) {
  for (const preempt of [false, true]) {
    const how = `${wantedFaults}${preempt ? ", with a preempt channel" : ""}`;
    Deno.test(`A link that is lost twice only pauses, and nothing is lost (${how})`, async () => {
      await using postcopy = await Postcopy.begin({ wantedFaults }, {
        "postcopy-preempt": preempt,
      });
      const { source, incoming, to } = postcopy;
      await source.begin(postcopy.uri, 10);
      if (preempt) await source.openPreempt(postcopy.uri);
      await source.give();
      for (const times of [1, 2]) {
        await source.said.wait(() => source.requested.length >= 40 * times, { what: "requests" });
        source.answers = false;
        const before = source.requested.length;
        await source.said.wait(() => source.requested.length > before, { what: "a request" });
        const outstanding = source.requested.at(-1)!;
        source.cut();
        await postcopy.reached("postcopy-paused", times);
        assert(to.running, "the guest waits, and is not stopped");
        assert(incoming.info()["error-desc"]);

        const uri = await incoming.recover(ANY_PORT);
        assertEquals(incoming.status, "postcopy-paused");
        await source.reconnect(uri);
        await postcopy.reached("postcopy-recover", times);
        const from = source.said.entries.length;
        if (preempt) await source.openPreempt(uri);
        await source.resume();
        source.answers = true;
        // What was asked for is asked for again, and names its block.
        const again = await source.said.wait(({ type }) => type === "REQ_PAGES", {
          ...{ what: "the request again", from },
        });
        const said = source.said.entries[again]!;
        assert(said.type === "REQ_PAGES" && said.block === "ram");
        assertEquals(said.start / 4096, outstanding);
        await source.sendPages(postcopy.from.ram.blocks[0]!, outstanding, 1);
      }
      await until(() => to.counters.pages >= 2 * PAGES);
      await source.finish();
      await incoming.completed;
      const { entries } = postcopy.events;
      const recovery = ["postcopy-paused", "postcopy-recover", "postcopy-active"];
      assertEquals(entries.slice(-7), [...recovery, ...recovery, "completed"]);
      await postcopy.verify();
    });
  }
}

for (const wantedFaults of KINDS) {
  for (const preempt of [false, true]) {
    const how = `${wantedFaults}${preempt ? ", with a preempt channel" : ""}`;
    Deno.test(`The source's huge pages come as a whole, or not at all (${how})`, async () => {
      await using postcopy = await Postcopy.begin({ wantedFaults }, {
        "postcopy-preempt": preempt,
      });
      const { source, incoming, to, from } = postcopy;
      const [ram] = from.ram.blocks;
      const unit = source.unit = 16;
      await source.begin(postcopy.uri, 2 * unit);
      if (preempt) await source.openPreempt(postcopy.uri);
      await source.give();
      await postcopy.reached("RESUME");
      await source.said.wait(() => source.requested.length >= 4, { what: "requests" });
      source.answers = false;
      const before = source.requested.length;
      await source.said.wait(() => source.requested.length > before, { what: "a request" });
      const wanted = source.requested.at(-1)!;
      // All of it but its last page: nobody may see that.
      await source.sendPages(ram!, wanted, unit - 1);
      source.cut();
      await postcopy.reached("postcopy-paused");

      const uri = await incoming.recover(ANY_PORT);
      await source.reconnect(uri);
      const bitmap = source.said.entries.find((said) =>
        said.type === "RECV_BITMAP" && said.block === "ram"
      );
      const words = new Uint16Array(Uint8Array.from(bitmap!.bitmap!).buffer);
      assert(words.every((word) => word === 0 || word === 0xffff), words.join());
      assertEquals(words[wanted / unit], 0);
      if (preempt) await source.openPreempt(uri);
      await source.resume();
      source.answers = true;
      await source.sendPages(ram!, wanted, unit);
      await until(() => to.counters.pages >= 2 * PAGES);
      const requests = source.said.entries.flatMap((said) =>
        said.type === "REQ_PAGES" && said.length !== 4096 ? [said] : []
      );
      assert(requests.length > 4);
      for (const { start, length } of requests) {
        assertEquals([start % (unit * 4096), length], [0, unit * 4096]);
      }
      await postcopy.complete();
    });
  }
}

Deno.test("A part of a huge page that is there when the guest is to run fails the migration", async () => {
  await using postcopy = await Postcopy.begin();
  const { source, incoming } = postcopy;
  source.unit = 16;
  await source.begin(postcopy.uri, 24);
  await source.discard(postcopy.from.ram.blocks[0]!, 32, PAGES - 32);
  await source.sendPackage(source.package());
  await assertRejects(
    () => incoming.completed,
    StreamFormatError,
    '8 pages of RAM block "ram" are parts of pages of 65536 bytes',
  );
});

Deno.test("IncomingMigration.pause() and recover() are refused unless their time has come", async () => {
  await using postcopy = await Postcopy.begin();
  const { source, incoming } = postcopy;
  assertThrows(() => incoming.pause(), StateError, "no postcopy");
  await assertRejects(() => incoming.recover(ANY_PORT), StateError, "no postcopy");
  await source.begin(postcopy.uri);
  await source.discard(postcopy.from.ram.blocks[0]!, 0, PAGES);
  await postcopy.reached("active");
  assertThrows(() => incoming.pause(), StateError, "this is active");
  await source.give();
  await postcopy.reached("RESUME");
  assertThrows(() => incoming.cancel(), StateError, "Too late");
  await assertRejects(() => incoming.recover(ANY_PORT), StateError, "this is postcopy-active");

  incoming.pause();
  await postcopy.reached("postcopy-paused");
  assertEquals(incoming.info()["error-desc"]?.includes("was paused"), true);
  assertThrows(() => incoming.pause(), StateError, "this is postcopy-paused");
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const busy = parseUri(`tcp:127.0.0.1:${(taken.addr as Deno.NetAddr).port}`);
  await assertRejects(() => incoming.recover(busy), TransportError, "in use");
  // The last address counts.
  const old = await incoming.recover(ANY_PORT);
  const uri = await incoming.recover(ANY_PORT);
  await assertRejects(() => source.reconnect(old), Deno.errors.ConnectionRefused);

  // It breaks again in the middle of the recovery, in different ways.
  await source.reconnect(uri);
  source.cut();
  await postcopy.reached("postcopy-paused", 2);
  await source.reconnect(await incoming.recover(ANY_PORT));
  incoming.pause();
  await postcopy.reached("postcopy-paused", 3);
  const stranger = await connectTo(formatUri(await incoming.recover(ANY_PORT)));
  await writeAll(stranger, new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  await postcopy.reached("postcopy-paused", 4);
  stranger.close();

  await source.reconnect(await incoming.recover(ANY_PORT));
  await source.resume();
  await postcopy.complete();
});

Deno.test("The loss of the preempt channel alone pauses too", async () => {
  await using postcopy = await Postcopy.begin({}, { "postcopy-preempt": true });
  const { source, incoming } = postcopy;
  await source.begin(postcopy.uri);
  await source.openPreempt(postcopy.uri);
  await source.give();
  await source.said.wait(() => source.requested.length >= 20, { what: "requests" });
  source.cutPreempt();
  await postcopy.reached("postcopy-paused");
  assert(incoming.info()["error-desc"]?.includes("channel preempt"), incoming.info()["error-desc"]);
  source.cut();
  const uri = await incoming.recover(ANY_PORT);
  await source.reconnect(uri);
  await source.openPreempt(uri);
  await source.resume();
  await postcopy.complete();
});

Deno.test("A stream that ends while pages are missing is no success", async () => {
  await using postcopy = await Postcopy.begin();
  const { source, incoming } = postcopy;
  source.answers = false;
  await source.begin(postcopy.uri, 50);
  await source.give();
  await source.end();
  await postcopy.reached("postcopy-paused");
  assert(
    incoming.info()["error-desc"]?.includes(`${PAGES - 50 + 3} pages of RAM missing`),
    incoming.info()["error-desc"],
  );
  source.answers = true;
  await source.reconnect(await incoming.recover(ANY_PORT));
  await source.resume();
  await postcopy.complete();
});

for (const wantedFaults of KINDS) {
  Deno.test(`A page that comes again is passed over (${wantedFaults})`, async () => {
    await using postcopy = await Postcopy.begin({ wantedFaults });
    const { source, to } = postcopy;
    const [ram] = postcopy.from.ram.blocks;
    await source.begin(postcopy.uri);
    await source.give();
    await until(() => to.counters.pages >= 2 * PAGES);
    // By now the guest has written all of them again.
    await source.sendPages(ram!, 0, PAGES);
    await postcopy.complete();
  });
}

Deno.test("Before the guest runs here, a lost link fails the migration", async () => {
  await using postcopy = await Postcopy.begin();
  const { source, incoming, to } = postcopy;
  await source.begin(postcopy.uri, 30);
  source.cut();
  await assertRejects(() => incoming.completed, ConnectionLostError);
  assertEquals([incoming.status, to.running], ["failed", false]);
  await assertRejects(() => incoming.recover(ANY_PORT), StateError, "this is failed");
});

/** Takes its time with the devices. */
class SlowTarget extends MachineTarget {
  readonly loading = Promise.withResolvers<void>();
  readonly goOn = Promise.withResolvers<void>();

  override section(header: FullSectionHeader): SectionLoader {
    const loader = super.section(header);
    return {
      load: async (...args) => {
        this.loading.resolve();
        await this.goOn.promise;
        await loader.load(...args);
      },
    };
  }
}

Deno.test("A link that is lost while the devices are loaded fails the migration as well", async () => {
  let target!: SlowTarget;
  await using postcopy = await Postcopy.begin(
    {},
    {},
    (machine) => target = new SlowTarget(machine),
  );
  const { source, incoming, to } = postcopy;
  await source.begin(postcopy.uri, 30);
  await source.give();
  await target.loading.promise;
  assertEquals(incoming.status, "postcopy-device");
  source.cut();
  await assertRejects(() => incoming.completed, ConnectionLostError);
  target.goOn.resolve();
  assertEquals([incoming.status, to.running], ["failed", false]);
});

/** What a source does wrong before the guest runs, and what the message says. */
const WRONG: Readonly<Record<string, (source: ScriptedSource) => Promise<unknown>>> = {
  "POSTCOPY_ADVISE is not possible": (source) =>
    source.command(Command.POSTCOPY_ADVISE, source.advice()),
  "Range 0x1000+0x1000 is not whole pages": (source) =>
    source.command(
      Command.POSTCOPY_RAM_DISCARD,
      new ByteWriter().u8(0).countedString("ram").u8(0).be64(4096).be64(4096).take(),
    ),
  "POSTCOPY_RUN is not possible": (source) => source.command(Command.POSTCOPY_RUN),
  "RECV_BITMAP is not possible": (source) =>
    source.command(Command.RECV_BITMAP, new ByteWriter().countedString("ram").take()),
  "is not whole pages of RAM block": (source) =>
    source.command(
      Command.POSTCOPY_RAM_DISCARD,
      new ByteWriter().u8(0).countedString("ram").u8(0).be64(512).be64(4096).take(),
    ),
  'RAM block "nope"': (source) =>
    source.command(
      Command.POSTCOPY_RAM_DISCARD,
      new ByteWriter().u8(0).countedString("nope").u8(0).be64(0).be64(4096).take(),
    ),
  "A package of 268435457 bytes": (source) =>
    source.command(Command.PACKAGED, new ByteWriter(4).be32(256 * 1024 ** 2 + 1).take()),
  "A package inside a package": (source) => {
    const inner = new ByteWriter();
    writeCommand(inner, Command.PACKAGED, new ByteWriter(4).be32(1).take());
    return source.sendPackage(inner.u8(0).take());
  },
  "without RUN": (source) => {
    const elements = new ByteWriter();
    writeCommand(elements, Command.POSTCOPY_LISTEN);
    return source.sendPackage(elements.u8(0).take());
  },
  "POSTCOPY_LISTEN is not possible": (source) => source.command(Command.POSTCOPY_LISTEN),
  "The stream has no state of vCPU 0": (source) => {
    const elements = new ByteWriter();
    writeCommand(elements, Command.POSTCOPY_LISTEN);
    writeCommand(elements, Command.POSTCOPY_RUN);
    return source.sendPackage(elements.take());
  },
};

for (const [message, act] of Object.entries(WRONG)) {
  Deno.test(`What may not come before the guest runs fails the migration: ${message}`, async () => {
    await using postcopy = await Postcopy.begin();
    const { source, incoming, to } = postcopy;
    source.unit = 2;
    await source.begin(postcopy.uri);
    await act(source);
    await assertRejects(() => incoming.completed, Error, message);
    assertEquals([incoming.status, to.running], ["failed", false]);
    await source.said.wait((said) => said.type === "SHUT" && said.status === 1, { what: "SHUT" });
  });
}

Deno.test("What may not come while the guest runs pauses the migration", async () => {
  await using postcopy = await Postcopy.begin();
  const { source, incoming, to } = postcopy;
  source.answers = false;
  await source.begin(postcopy.uri);
  await source.give();
  await postcopy.reached("RESUME");
  const page = new ByteWriter()
    .be64(PAGES * 4096 + RamFlag.ZERO).countedString("ram").u8(0).take();
  const fill = new ByteWriter()
    .be64(RamFlag.ZERO).countedString("ram").u8(7).take();
  let times = 0;
  for (const [bytes, message] of [[page, "outside RAM block"], [fill, "A page of 7s"]] as const) {
    await source.sendRecords(bytes);
    await postcopy.reached("postcopy-paused", ++times);
    assert(incoming.info()["error-desc"]?.includes(message), incoming.info()["error-desc"]);
    assert(to.running);
    await source.reconnect(await incoming.recover(ANY_PORT));
    await source.resume();
  }
  source.answers = true;
  await postcopy.complete();
});

/** Commands that a source must not send then, and what is said of them. */
const BLOCK_OF = (name: string) => new ByteWriter().countedString(name);
const WRONG_THEN: readonly [string, Command, Uint8Array | undefined, string][] = [
  ["the guest runs", Command.POSTCOPY_LISTEN, undefined, "POSTCOPY_LISTEN is not possible"],
  ["the guest runs", Command.POSTCOPY_RUN, undefined, "POSTCOPY_RUN is not possible"],
  [
    "the guest runs",
    Command.POSTCOPY_RAM_DISCARD,
    new ByteWriter().u8(0).countedString("ram").u8(0).be64(0).be64(4096).take(),
    "POSTCOPY_RAM_DISCARD is not possible",
  ],
  ["the guest runs", Command.RECV_BITMAP, BLOCK_OF("ram").take(), "RECV_BITMAP is not possible"],
  ["it recovers", Command.RECV_BITMAP, BLOCK_OF("nope").take(), 'RAM block "nope"'],
  [
    "it recovers",
    Command.RECV_BITMAP,
    BLOCK_OF("ram").u8(9).take(),
    "bytes after the block's name",
  ],
  ["it recovers", Command.POSTCOPY_LISTEN, undefined, "POSTCOPY_LISTEN is not possible"],
];

Deno.test("Commands that may not come while the guest runs, or while it recovers, only pause", async () => {
  await using postcopy = await Postcopy.begin();
  const { source, incoming, to } = postcopy;
  source.answers = false;
  await source.begin(postcopy.uri);
  await source.give();
  await postcopy.reached("RESUME");
  let times = 0;
  for (const [when, command, payload, message] of WRONG_THEN) {
    if (when === "it recovers") {
      incoming.pause();
      await postcopy.reached("postcopy-paused", ++times);
      await source.reconnect(await incoming.recover(ANY_PORT));
    }
    await source.command(command, payload);
    await postcopy.reached("postcopy-paused", ++times);
    assert(incoming.info()["error-desc"]?.includes(message), incoming.info()["error-desc"]);
    assert(to.running);
    await source.reconnect(await incoming.recover(ANY_PORT));
    await source.resume();
  }
  source.answers = true;
  await postcopy.complete();
});

Deno.test("postcopy-blocktime: of each vCPU, and of all of them at once", async () => {
  const vcpus = ["beat,rate=max", "stress,rate=max"];
  await using pair = await Pair.create({ blocks: { ram: 400 }, vcpus });
  const on = settings({ "postcopy-ram": true, "postcopy-blocktime": true }, {
    "max-postcopy-bandwidth": 500_000,
  });
  const incoming = pair.receive(on);
  const outgoing = pair.send(formatUri(await incoming.listening), on);
  outgoing.startPostcopy();
  await outgoing.completed;
  const info = await incoming.completed;
  const each = info["postcopy-vcpu-blocktime"]!;
  assertEquals(each.length, vcpus.length);
  assert(info["postcopy-blocktime"]! <= Math.min(...each) + 1, JSON.stringify(info));
  const latencies = info["postcopy-vcpu-latency"]!;
  assertEquals(latencies.length, vcpus.length);
  assert(latencies.some((latency) => latency > 0), JSON.stringify(info));
  const faults = info["postcopy-latency-dist"]!.reduce((sum, count) => sum + count, 0);
  assert(faults > 0);
});

Deno.test("Without the capability a source that wants postcopy is told why not", async () => {
  await using postcopy = await Postcopy.begin({ ...settings() });
  await postcopy.source.begin(postcopy.uri);
  await assertRejects(() => postcopy.incoming.completed, StreamFormatError, "does not expect");
});
