import { assert, assertEquals, assertRejects } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { OutgoingChannels } from "../../src/control/outgoing_channels.ts";
import type { OutgoingMachine } from "../../src/control/outgoing_machine.ts";
import {
  changeParameters,
  defaultParameters,
  type ParameterChanges,
} from "../../src/control/parameters.ts";
import { CancelledError, SettingError, TransportError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Machine } from "../../src/machine/machine.ts";
import { OutgoingStream } from "../../src/ram/outgoing_stream.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { introduction, packet, syncPacket } from "../multifd/fixtures/packets.ts";
import { openSockets } from "../multifd/fixtures/connections.ts";
import { connectedSpecs } from "../ram/fixtures/channels.ts";
import { withPatience } from "../support/event_log.ts";
import "../support/load_libc.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");
const UUID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const NO_TROUBLE = () => {};

/** A machine of a type and perhaps with a UUID, of three pages: content, zeros, content. */
async function machine(name: string, uuid?: Uint8Array<ArrayBuffer>) {
  const real = await Machine.create({ name, ram: { b: 3 * 4096 } });
  const [block] = real.ram.blocks;
  for (const page of [0, 2]) {
    block!.view(page * 4096, 4096).fill(page + 1);
    block!.untouched.delete(page);
  }
  block!.dirty.fill(0, 3, true);
  const source = new MachineSource(real);
  const outgoing: OutgoingMachine = new Proxy(source, {
    get: (target, member) => {
      if (member === "configuration") return { ...target.configuration, ...uuid && { uuid } };
      const value = target[member as keyof MachineSource];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { real, outgoing };
}

async function setUp(name: string, changes: ParameterChanges, uuid?: Uint8Array<ArrayBuffer>) {
  const listener = await listen(ANY_PORT);
  const { real, outgoing } = await machine(name, uuid);
  const parameters = changeParameters(defaultParameters(), { "multifd-channels": 1, ...changes });
  const connected = await OutgoingChannels.connect({
    ...{ uri: listener.uri, machine: outgoing, parameters, transport: {} },
  });
  const accepted: { endpoint: Endpoint; head: Uint8Array }[] = [];
  for (let i = 0; i < parameters["multifd-channels"]; i++) {
    const endpoint = (await listener.accept())!;
    accepted.push({ endpoint, head: await endpoint.readHead(64) });
  }
  return {
    ...{ channels: connected, ram: outgoing.ram, accepted },
    async [Symbol.asyncDispose]() {
      await connected[Symbol.asyncDispose]();
      for (const { endpoint } of accepted) await endpoint.close();
      await listener.close();
      await real[Symbol.asyncDispose]();
    },
  };
}

Deno.test("OutgoingChannels connects and introduces as many channels as it is told", async () => {
  for (const uuid of [undefined, UUID]) {
    await using set = await setUp("m", { "multifd-channels": 5 }, uuid);
    const heads = set.accepted.map(({ head }) => head.toHex()).toSorted();
    assertEquals(heads, [0, 1, 2, 3, 4].map((i) => introduction(i, uuid).toHex()));
  }
});

Deno.test("OutgoingChannels refuses an address that gives one connection", async () => {
  const { real, outgoing } = await machine("m");
  await assertRejects(
    () =>
      OutgoingChannels.connect({
        ...{ uri: parseUri("file:/tmp/never"), machine: outgoing, transport: {} },
        parameters: defaultParameters(),
      }),
    SettingError,
    "multi-channel URIs",
  );
  await real[Symbol.asyncDispose]();
});

Deno.test("OutgoingChannels that cannot connect leaves no connection open, and names the channel", async () => {
  const { real, outgoing } = await machine("m");
  const listener = await listen(ANY_PORT);
  const { uri } = listener;
  await listener.close();
  const before = openSockets();
  const options = { uri, machine: outgoing, parameters: defaultParameters() };
  const error = await assertRejects(
    () => OutgoingChannels.connect({ ...options, transport: {} }),
    TransportError,
    "refused",
  );
  assertEquals(error.place.channel, "multifd 0");
  assert(error.advice?.includes("does the destination have multifd"), error.advice);
  await assertRejects(
    () => OutgoingChannels.connect({ ...options, transport: { signal: AbortSignal.abort() } }),
    CancelledError,
  );
  assertEquals(openSockets(), before);
  await real[Symbol.asyncDispose]();
});

/** Everything that comes on the first channel until it ends, after a migration of all pages. */
async function wholeChannel(name: string, changes: ParameterChanges = {}) {
  await using set = await setUp(name, changes);
  const { channels, ram } = set;
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const progress = new Progress();
  const sender = channels.start({ progress, onFailure: failed.reject });
  const { from, to } = await connectedSpecs();
  const stream = await OutgoingStream.start({
    ...{ channel: from, ram, progress },
    encoder: { detectZero: true, onlyZero: true },
  });
  const main = readAll(openChannel(to));
  const channel = readAll(openChannel(set.accepted[0]!.endpoint.handOff()));
  const saver = channels.saver(stream);
  await saver.sendStart([{ name: "b", length: 3 * 4096 }], NO_TROUBLE);
  await saver.sendPart({ allowance: () => Infinity, check: NO_TROUBLE });
  await saver.sendEnd(NO_TROUBLE);
  await channels.end(NO_TROUBLE);
  await withPatience(Promise.race([channels.ended(), failed.promise]), "the channels' end");
  await stream.end(NO_TROUBLE);
  await stream[Symbol.asyncDispose]();
  return {
    dialect: sender.eachSection,
    channel: (await channel).slice(64),
    main: (await main).toHex(),
  };
}

async function readAll(channel: ReturnType<typeof openChannel>): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(1 << 20);
  let length = 0;
  for (let got; (got = await channel.read(bytes.subarray(length))) > 0;) length += got;
  channel.close();
  return bytes.slice(0, length);
}

const CONTENT = [1, 3].map((byte) => new Uint8Array(4096).fill(byte));
const FLUSH = "0000000000000200";

Deno.test("OutgoingChannels: the modern dialect lists zero pages, and says when it synchronises", async () => {
  const { channel, main } = await wholeChannel("pc-q35-10.0");
  assertEquals(main.split(FLUSH).length, 4, "after the setup, the round and the end");
  const sync = syncPacket().length;
  const pages = packet({ block: "b", number: 1, normal: [0, 8192], zero: [4096] });
  new DataView(pages.buffer).setUint32(20, 8192);
  assertEquals(channel.slice(sync, sync + pages.length), pages);
  assertEquals(channel.length, 4 * sync + 8192);
});

Deno.test("OutgoingChannels: the old dialect sends zero pages on the main channel, and no flush records", async () => {
  const { channel, main } = await wholeChannel("pc-i440fx-7.2");
  assertEquals(main.includes(FLUSH), false);
  // ZERO at page 1 of block "b".
  assert(main.includes("0000000000001002" + "0162" + "00"), main);
  const sync = syncPacket().length;
  const view = new DataView(channel.buffer);
  assertEquals([view.getUint32(sync + 16), view.getUint32(sync + 32)], [2, 0]);
  assertEquals(
    channel.slice(2 * sync, 2 * sync + 8192),
    Uint8Array.of(...CONTENT[0]!, ...CONTENT[1]!),
  );
});

Deno.test("OutgoingChannels follows zero-page-detection", async () => {
  const legacy = await wholeChannel("m", { "zero-page-detection": "legacy" });
  assert(legacy.main.includes("0000000000001002"), "as records");
  const none = await wholeChannel("m", { "zero-page-detection": "none" });
  assertEquals(new DataView(none.channel.buffer).getUint32(1344 + 16), 3, "with content");
  assertEquals(none.main.includes("0000000000001002"), false);
});

Deno.test("OutgoingChannels can be ended before its workers were started", async () => {
  const before = openSockets();
  const set = await setUp("m", { "multifd-channels": 3 });
  await set[Symbol.asyncDispose]();
  assertEquals(openSockets(), before);
  assertEquals(set.ram instanceof GuestRam, true);
});
