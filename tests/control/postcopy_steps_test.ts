import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { OutgoingLink } from "../../src/control/outgoing_link.ts";
import { OutgoingStatistics } from "../../src/control/outgoing_statistics.ts";
import {
  type PostcopyContext,
  recover,
  requireAllPages,
  sendEnd,
  sendRemaining,
  sendSwitch,
  settlePreempt,
  whenItRuns,
} from "../../src/control/postcopy_steps.ts";
import { ConnectionLostError, IncompatibleError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { receivedBitmapSize } from "../../src/postcopy/received_bitmap.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { RECV_BITMAP_END_MARK } from "../../src/wire/return_path.ts";
import { fillPages, settings } from "./fixtures/pair.ts";
import { type ScriptedConnection, ScriptedDestination } from "./fixtures/scripted_destination.ts";

const PAGES = 3000;

/** A link to a destination that says what the test says. */
async function withLink(
  capabilities: Readonly<Record<string, boolean>>,
  run: (
    context: PostcopyContext,
    connection: ScriptedConnection,
    destination: ScriptedDestination,
  ) => Promise<void>,
  { recovering = false, bandwidth = 0 } = {},
): Promise<void> {
  await using machine = await Machine.create({ name: "m", ram: { ram: PAGES * 4096 }, vcpus: [] });
  fillPages(machine);
  // What a dirty log does when it starts.
  for (const block of machine.ram.blocks) block.untouched.fill(0, block.pageCount, false);
  const source = new MachineSource(machine);
  source.markAllDirty();
  using destination = new ScriptedDestination();
  const statistics = new OutgoingStatistics(machine.ram, 300);
  const set = settings({ "postcopy-ram": true, ...capabilities }, {
    "max-postcopy-bandwidth": bandwidth,
  });
  await using link = new OutgoingLink({
    uri: parseUri(destination.uri),
    machine: source,
    ...set,
    statistics,
    allSent: () => false,
  });
  await link.connect();
  await link.start({ encoder: { detectZero: true }, recovering });
  const parameters = () => set.parameters;
  const context = { machine: source, link, statistics, parameters, answerTimeout: 200 };
  await run(context, await destination.accept(), destination);
}

/** The block's pages in the order in which their records came. */
function pagesIn(stream: Uint8Array, from: number): number[] {
  const view = new DataView(stream.buffer);
  const pages: number[] = [];
  for (let at = from; at + 8 <= stream.length;) {
    const header = Number(view.getBigUint64(at));
    if ((header & 0x0a) === 0) break;
    pages.push(Math.floor(header / 4096));
    at += 8 + (header & 0x20 ? 0 : 1 + stream[at + 8]!) + (header & 0x02 ? 1 : 4096);
  }
  return pages;
}

Deno.test("requireAllPages() names the block that lacks some", () =>
  withLink({}, ({ machine }) => {
    requireAllPages(machine);
    machine.ram.blocks[0]!.dirty.delete(7);
    assertThrows(() => requireAllPages(machine), IncompatibleError, `1 of 3000 pages of RAM block`);
    return Promise.resolve();
  }));

Deno.test("The switch is SWITCHOVER_START, DISCARD, PING, the package and PING, in that order", () =>
  withLink({}, async (context, connection) => {
    await sendSwitch(context);
    await connection.sees("0800020004 00000004");
    const hex = connection.received.toHex();
    const discard = "0800060016" + "00" + "0372616d" + "00" + "0000000000000000" +
      (PAGES * 4096).toString(16).padStart(16, "0");
    const before = "08000b0000" + discard + "080002000400000002" + "0800070004";
    assertEquals(hex.slice(0, before.length), before);
    const length = parseInt(hex.slice(before.length, before.length + 8), 16);
    const content = hex.slice(before.length + 8, before.length + 8 + 2 * length);
    assertEquals(content.startsWith("0800040000"), true);
    assertEquals(
      content.endsWith("080002000400000003" + "080002000400000042" + "0800050000"),
      true,
    );
    assertEquals(hex.slice(before.length + 8 + 2 * length), "080002000400000004");
    // From now on pages may be asked for.
    assertEquals(context.link.requests!.isOpen, true);
  }));

Deno.test("What nobody asks for follows what somebody has asked for", () =>
  withLink({}, async (context, connection) => {
    await context.link.stream.beginPostcopy(() => {});
    context.link.requests!.open();
    await connection.say({ type: "REQ_PAGES", block: "ram", start: 2000 * 4096, length: 4096 });
    // The header of that page, which is not the first of its block.
    await connection.sees((2000 * 4096 + 0x08).toString(16).padStart(16, "0") + "03");
    await sendRemaining(context);
    const ended = sendEnd(context);
    await connection.ended();
    await ended;
    const pages = pagesIn(connection.received, 5);
    assertEquals(pages.slice(0, 3), [2000, 2001, 2002]);
    assertEquals(pages.length, PAGES);
    assertEquals(pages.toSorted((a, b) => a - b), Array.from({ length: PAGES }, (_, i) => i));
    assertEquals(connection.received.subarray(-14).toHex().slice(-2), "00");
  }));

Deno.test("A bandwidth limits what nobody has asked for, and not what somebody has", () =>
  withLink({}, async (context, connection) => {
    const { link } = context;
    await link.stream.beginPostcopy(() => {});
    link.requests!.open();
    const sending = sendRemaining(context);
    sending.catch(() => {});
    await connection.say({ type: "REQ_PAGES", block: "ram", start: 1000 * 4096, length: 2 ** 20 });
    // At this rate the background alone would take a minute and more for as much.
    await connection.sees((1254 * 4096 + 0x28).toString(16).padStart(16, "0"));
    link.trouble.report(new ConnectionLostError("Enough"));
    await assertRejects(() => sending, ConnectionLostError, "Enough");
  }, { bandwidth: 10_000 }));

Deno.test("A preempt channel is there before the switch, and the destination was asked since", () =>
  withLink({ "postcopy-preempt": true }, async (context, connection, destination) => {
    const settled = settlePreempt(context, 1);
    await connection.say({ type: "PONG", value: 1 });
    await destination.accept();
    for (let i = 0; i < 8; i++) {
      await connection.sees(`0800020004 000000${(0x50 + i).toString(16)}`);
      await connection.say({ type: "PONG", value: 0x50 + i });
    }
    await settled;
  }));

Deno.test("A destination has some time to answer, and no more", () =>
  withLink({}, async (context, connection) => {
    const runs = whenItRuns(context);
    await connection.say({ type: "PONG", value: 0x42 });
    await runs;
    await assertRejects(() => recover(context), ConnectionLostError, "within 200 ms");
  }));

Deno.test("Recovering asks for what has arrived, sends the rest, and only that", () =>
  withLink({}, async (context, connection) => {
    const recovered = recover(context);
    await connection.sees("08000a0004 0372616d");
    await connection.say({ type: "RECV_BITMAP", block: "ram" });
    const bitmap = new Uint8Array(receivedBitmapSize(PAGES)).fill(0xff, 0, PAGES / 8);
    bitmap[100] = 0b1111_0111;
    await connection.sayBytes(
      new ByteWriter().be64(bitmap.length).bytes(bitmap).be64(RECV_BITMAP_END_MARK).take(),
    );
    await connection.sees("0800090000");
    await connection.say({ type: "RESUME_ACK", value: 1 });
    await recovered;
    await sendRemaining(context);
    const ended = sendEnd(context);
    await connection.ended();
    await ended;
    // RECV_BITMAP, POSTCOPY_RESUME, the header of a part.
    assertEquals(pagesIn(connection.received, 9 + 5 + 5), [803]);
  }, { recovering: true }));
