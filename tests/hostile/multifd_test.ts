/**
 * Migrations over multifd channels with which something is wrong: both sides fail within seconds and say
 * which channel it was, the source's guest runs on, and neither sockets nor threads are left.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Worker } from "node:worker_threads";
import type { IncomingOptions } from "../../src/control/incoming_options.ts";
import type { OutgoingOptions } from "../../src/control/outgoing_options.ts";
import type { ParameterChanges } from "../../src/control/parameters.ts";
import {
  ConnectionLostError,
  IncompatibleError,
  MigrationError,
  PeerFailedError,
  StreamFormatError,
  WorkerFailedError,
} from "../../src/errors.ts";
import { MULTIFD_RECEIVE } from "../../src/multifd/multifd_receiver.ts";
import { MULTIFD_SEND } from "../../src/multifd/multifd_sender.ts";
import { SpareWorkers } from "../../src/threads/spare_workers.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { Pair, settings } from "../control/fixtures/pair.ts";
import { until } from "../machine/fixtures/until.ts";
import { openSockets } from "../multifd/fixtures/connections.ts";
import { introduction } from "../multifd/fixtures/packets.ts";
import { withPatience } from "../support/event_log.ts";
import { connectTo, writeAll } from "../support/sockets.ts";
import { Tap } from "../support/tap.ts";

/** Where a channel's first packet of pages begins: behind its introduction and the setup's SYNC. */
const FIRST_PACKET = 64 + 1344;

interface Attack {
  readonly parameters?: ParameterChanges;
  /** Other parameters at the destination. */
  readonly there?: ParameterChanges;
  /** Plans what goes wrong between the two. Connections are counted from 1; the first is the main one. */
  readonly between?: (tap: Tap) => void;
  /** Somebody else who connects, once the destination listens. */
  readonly also?: (uri: string) => Promise<Deno.Conn>;
  readonly incoming?: Partial<IncomingOptions>;
  readonly outgoing?: Partial<OutgoingOptions>;
}

/** What became of both sides. */
interface Failures {
  readonly source: MigrationError;
  readonly destination: MigrationError;
}

/** Migrates a running machine with two multifd channels; both sides must fail, and the guest run on. */
async function fails(attack: Attack): Promise<Failures> {
  const socketsBefore = openSockets();
  await using pair = await Pair.create({ blocks: { ram: 2048 }, vcpus: ["beat,rate=4M"] });
  const threadsBefore = workerThreads();
  const parameters = { "multifd-channels": 2, ...attack.parameters };
  const incoming = pair.receive({
    ...settings({ multifd: true }, { ...parameters, ...attack.there }),
    stallTimeout: 500,
    ...attack.incoming,
  });
  const uri = formatUri(await incoming.listening);
  const tap = new Tap({ to: uri, record: false });
  attack.between?.(tap);
  const visitor = await attack.also?.(uri);
  const outgoing = pair.send(tap.uri, {
    ...settings({ multifd: true }, parameters),
    stallTimeout: 500,
    ...attack.outgoing,
  });
  const [source, destination] = await withPatience(
    Promise.all([failureOf(outgoing.completed), failureOf(incoming.completed)]),
    "both sides to fail",
  );
  await tap[Symbol.asyncDispose]();
  visitor?.close();
  assert(pair.source.running, "the source's guest runs on");
  assertEquals(pair.destination.running, false);
  const { steps } = pair.source.counters;
  await withPatience(until(() => pair.source.counters.steps > steps), "the guest to run on");
  assertEquals(openSockets(), socketsBefore, "sockets are left");
  await withPatience(until(() => workerThreads() <= threadsBefore), "the threads to be gone");
  return { source, destination };
}

async function failureOf(migration: Promise<unknown>): Promise<MigrationError> {
  try {
    await migration;
  } catch (error) {
    assert(error instanceof MigrationError, String(error));
    return error;
  }
  throw new Error("It succeeded");
}

/** How many threads of this process are workers; another program looks, as in `victim.ts`. */
function workerThreads(): number {
  const script = `cat /proc/${Deno.pid}/task/*/comm`;
  const { stdout } = new Deno.Command("sh", { args: ["-c", script] }).outputSync();
  return new TextDecoder().decode(stdout).match(/^worker-/gm)?.length ?? 0;
}

const FIELDS = [
  ["magic", 0, "magic 0xee223344"],
  ["version", 4, "of version 4278190081"],
  ["number of pages", 16, "pages"],
  ["block", 64, "which this machine does not have"],
  ["offset", 320, "a page at 0x"],
  ["payload's length", 20, "a payload of"],
] as const;
for (const [what, at, message] of FIELDS) {
  Deno.test(`A multifd packet with a bad ${what} fails both sides`, async () => {
    const { destination } = await fails({
      between: (tap) => tap.forward(2).corruptAt(FIRST_PACKET + at, what === "block" ? 1 : 0xff),
      // All channels say something, so that the spoiled packet is sure to come.
      parameters: { "zero-page-detection": "none" },
    });
    assert(
      destination instanceof StreamFormatError || destination instanceof IncompatibleError,
      String(destination),
    );
    assert(destination.message.includes(message), destination.message);
    assert(/^multifd [01]$/.test(destination.place.channel ?? ""), destination.message);
    assertEquals(destination.place.offset, FIRST_PACKET);
  });
}

for (const method of ["zlib", "zstd"] as const) {
  Deno.test(`A payload that is not ${method} fails both sides`, async () => {
    const { destination } = await fails({
      parameters: { "multifd-compression": method, "zero-page-detection": "none" },
      between: (tap) => {
        for (let at = 0; at < 40; at++) tap.forward(1).corruptAt(FIRST_PACKET + 1344 + at, 0x5a);
      },
    });
    assert(destination instanceof StreamFormatError, String(destination));
    assert(/multifd [01]/.test(destination.message), destination.message);
  });
}

Deno.test("Sides with different compression fail, and say what to do", async () => {
  const { destination } = await fails({ there: { "multifd-compression": "zstd" } });
  assert(destination instanceof IncompatibleError);
  assert(destination.message.includes("none: this side expects zstd"), destination.message);
  assert(destination.advice?.includes("multifd-compression"));
});

Deno.test("A channel that is lost under way fails both sides", async () => {
  const { source, destination } = await fails({
    between: (tap) => tap.forward(2).cutAfter(FIRST_PACKET + 100),
    parameters: { "zero-page-detection": "none" },
  });
  assert(destination instanceof ConnectionLostError, String(destination));
  assert(/multifd [01]/.test(destination.message), destination.message);
  assert(source instanceof MigrationError);
});

Deno.test("A channel that never arrives fails both sides, by its name", async () => {
  const { destination } = await fails({
    there: { "multifd-channels": 4 },
    incoming: { channelsTimeout: 200 },
  });
  assert(destination instanceof ConnectionLostError);
  // The main channel may be silent still: then it is missing as well. Or the source gives up first.
  assert(destination.message.includes("multifd 2, multifd 3"), destination.message);
});

Deno.test("A channel more than there may be fails both sides, by its name", async () => {
  const { destination } = await fails({ there: { "multifd-channels": 1 } });
  assert(destination instanceof IncompatibleError);
  assertEquals(destination.place.channel, "multifd 1");
});

for (
  const [what, bytes, message] of [
    ["twice", introduction(1), "that is there already"],
    ["with another UUID", introduction(1, new Uint8Array(16).fill(7)), "of machine"],
  ] as const
) {
  Deno.test(`A channel that arrives ${what} fails both sides`, async () => {
    const { destination } = await fails({
      also: async (uri) => {
        const visitor = await connectTo(uri);
        await writeAll(visitor, bytes);
        return visitor;
      },
    });
    assert(destination instanceof IncompatibleError, String(destination));
    assert(destination.message.includes(message), destination.message);
    assert(/multifd [01]/.test(destination.place.channel ?? ""), destination.message);
  });
}

Deno.test("A destination that stops reading fails both sides, and the source names the channel", async () => {
  const { source } = await fails({
    parameters: { "zero-page-detection": "none" },
    // It must not be the first to lose patience.
    incoming: { stallTimeout: 3000 },
    between: (tap) => {
      for (const connection of [1, 2]) tap.forward(connection).stallAfter(FIRST_PACKET + 3000);
    },
  });
  assert(source instanceof ConnectionLostError, String(source));
  assert(source.message.includes("Nothing has passed"), source.message);
  assert(/multifd 0|multifd 1|main/.test(source.place.channel ?? ""), source.message);
});

Deno.test("A source that stops sending fails both sides, and the destination names the channel", async () => {
  const { destination } = await fails({
    parameters: { "zero-page-detection": "none" },
    outgoing: { stallTimeout: 3000 },
    between: (tap) => tap.forward(2).stallAfter(FIRST_PACKET + 3000),
  });
  assert(destination instanceof ConnectionLostError, String(destination));
  assert(destination.message.includes("Nothing has passed"), destination.message);
  assert(/^multifd [01]$/.test(destination.place.channel ?? ""), destination.message);
});

/** Spare threads of which those of some kind are others, which die. */
class Dying extends SpareWorkers {
  constructor(private readonly kind: URL, private readonly instead: string) {
    super();
  }

  override prepare(url: URL, count: number): void {
    if (url.href !== this.kind.href) super.prepare(url, count);
  }

  override take(url: URL): Worker | undefined {
    if (url.href !== this.kind.href) return super.take(url);
    return new Worker(new URL(this.instead, import.meta.url));
  }
}

Deno.test("A worker that dies at the source fails both sides, by its channel", async () => {
  await using spares = new Dying(MULTIFD_SEND, "./dying_worker.ts");
  const { source } = await fails({ outgoing: { spares, stallTimeout: 10_000 } });
  assert(source instanceof WorkerFailedError, String(source));
  assert(/^multifd [01]$/.test(source.place.channel ?? ""), source.message);
});

for (const method of ["none", "zstd"] as const) {
  Deno.test(`A worker that dies at the destination in the middle fails both sides, by its channel (${method})`, async () => {
    await using spares = new Dying(MULTIFD_RECEIVE, "./dying_receiver.ts");
    const { source, destination } = await fails({
      parameters: { "multifd-compression": method, "zero-page-detection": "none" },
      // Nobody waits for a channel to stand still.
      incoming: { spares, stallTimeout: 60_000 },
      outgoing: { stallTimeout: 60_000 },
    });
    assert(destination instanceof WorkerFailedError, String(destination));
    assert(/^multifd [01]$/.test(destination.place.channel ?? ""), destination.message);
    assertEquals([destination.place.side, destination.place.phase], ["destination", "active"]);
    // The source is told, or sees the connections end.
    assert(
      source instanceof PeerFailedError || source instanceof ConnectionLostError,
      String(source),
    );
  });
}
