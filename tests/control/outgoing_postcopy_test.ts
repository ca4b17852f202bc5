import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import type { OutgoingOptions } from "../../src/control/outgoing_options.ts";
import {
  ConnectionLostError,
  IncompatibleError,
  PeerFailedError,
  SettingError,
  StateError,
} from "../../src/errors.ts";
import { openImage } from "../../src/image/open_image.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { libc } from "../../src/os/libc.ts";
import { receivedBitmapSize } from "../../src/postcopy/received_bitmap.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { putPlainRequest, RECV_BITMAP_END_MARK } from "../../src/wire/return_path.ts";
import { smallImage, withFolder } from "../image/fixtures.ts";
import { EventLog } from "../support/event_log.ts";
import { Tap } from "../support/tap.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";
import { ScriptedDestination } from "./fixtures/scripted_destination.ts";

const POSTCOPY = { "postcopy-ram": true } as const;
const PING_1 = "0800020004 00000001";
const PACKAGE_END = "0800020004 00000042 0800050000";
const SLOW = { "max-postcopy-bandwidth": 100_000 };

/** A migration's events. */
class Events extends EventLog<string> {
  #seen = 0;
  readonly on = (event: MigrationEvent): void => {
    if (event.event !== "MIGRATION_PASS") {
      this.push(event.event === "MIGRATION" ? event.data.status : event.event);
    }
  };

  /** Waits for an event once more. */
  async next(name: string): Promise<void> {
    this.#seen = await this.wait((entry) => entry === name, { what: name, from: this.#seen }) + 1;
  }

  get words(): string {
    return this.entries.join(" ");
  }
}

for (
  const [name, capabilities] of [
    ["plainly", {}],
    ["with preempt", { "postcopy-preempt": true }],
    ["after multifd", { multifd: true }],
    ["with XBZRLE before", { xbzrle: true }],
  ] as const
) {
  Deno.test(`A running machine goes first, its pages follow, ${name}`, async () => {
    await using pair = await Pair.create({
      blocks: { ram: 3000, more: 7 },
      vcpus: ["stress,rate=max,seed=7"],
    });
    const set = settings({ ...POSTCOPY, ...capabilities });
    const incoming = pair.receive(set);
    const events = new Events();
    const outgoing = pair.send(formatUri(await incoming.listening), { ...set, onEvent: events.on });
    await events.next("active");
    outgoing.startPostcopy();
    const info = await outgoing.completed;
    await incoming.completed;
    assertEquals(
      events.words,
      "setup active STOP device postcopy-device postcopy-active completed",
    );
    assertEquals([pair.source.runState, pair.destination.running], ["postmigrate", true]);
    await pair.destination.stop();
    assertEquals(await verifyRam(pair.destination), undefined);
    assert(info.ram!["postcopy-bytes"] > 0);
    assert(info.downtime! >= 0);
  });
}

for (const preempt of [false, true]) {
  Deno.test(`A link that is lost twice costs nothing but time (preempt: ${preempt})`, async () => {
    await using pair = await Pair.create({ blocks: { ram: 1000 }, vcpus: ["stress,rate=max"] });
    const capabilities = { ...POSTCOPY, "postcopy-preempt": preempt };
    const incoming = pair.receive(settings(capabilities));
    await using tap = new Tap({ to: formatUri(await incoming.listening), record: false });
    const events = new Events();
    const outgoing = pair.send(tap.uri, { ...settings(capabilities, SLOW), onEvent: events.on });
    outgoing.startPostcopy();
    await events.next("postcopy-active");
    tap.cut();
    await events.next("postcopy-paused");
    assertEquals([outgoing.status, outgoing.info().status], ["postcopy-paused", "postcopy-paused"]);
    assertThrows(() => outgoing.cancel(), StateError);
    assertThrows(() => outgoing.pause(), StateError);
    while (incoming.status !== "postcopy-paused") await new Promise((go) => setTimeout(go, 1));

    outgoing.resume(await incoming.recover(parseUri("tcp:127.0.0.1:0")));
    await events.next("postcopy-active");
    outgoing.pause();
    await events.next("postcopy-paused");
    while (incoming.status !== "postcopy-paused") await new Promise((go) => setTimeout(go, 1));
    // A destination that is not there is no reason to lose anything either.
    outgoing.resume(parseUri("tcp:127.0.0.1:1"));
    assertThrows(() => outgoing.resume(parseUri("tcp:127.0.0.1:1")), StateError);
    await events.next("postcopy-paused");

    outgoing.setParameters(settings().parameters);
    outgoing.resume(await incoming.recover(parseUri("tcp:127.0.0.1:0")));
    await outgoing.completed;
    await incoming.completed;
    await pair.destination.stop();
    assertEquals(await verifyRam(pair.destination), undefined);
    assertEquals(outgoing.info()["error-desc"], undefined);
  });
}

Deno.test("Postcopy that is wanted and not needed changes nothing", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive(settings(POSTCOPY));
  const events = new Events();
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...settings(POSTCOPY),
    onEvent: events.on,
  });
  await outgoing.completed;
  await incoming.completed;
  assertEquals(events.words, "setup active STOP device completed");
  assertEquals(contentOf(pair.destination, "ram"), contentOf(pair.source, "ram"));
});

Deno.test("Of a migration without postcopy none is asked for", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive();
  const outgoing = pair.send(formatUri(await incoming.listening));
  assertThrows(() => outgoing.startPostcopy(), StateError, "without the capability postcopy-ram");
  assertThrows(() => outgoing.pause(), StateError, "cannot be paused");
  assertThrows(() => outgoing.resume(parseUri("tcp:a:1")), StateError, "cannot be resumed");
  await outgoing.completed;
  await incoming.completed;
});

Deno.test("release-ram gives back what the destination has; there is no resuming then", async () => {
  await using pair = await Pair.create({ blocks: { ram: 400 } });
  const set = settings({ ...POSTCOPY, "release-ram": true }, SLOW);
  const before = contentOf(pair.source, "ram");
  const there = new Events();
  const incoming = pair.receive({ ...settings(POSTCOPY), onEvent: there.on });
  await using tap = new Tap({ to: formatUri(await incoming.listening), record: false });
  const events = new Events();
  const outgoing = pair.send(tap.uri, { ...set, onEvent: events.on });
  outgoing.startPostcopy();
  await events.next("postcopy-active");
  const { transferred } = outgoing.info().ram!;
  while (outgoing.info().ram!.transferred < transferred + 200_000) {
    await new Promise((go) => setTimeout(go, 1));
  }
  tap.cut();
  await Promise.all([events, there].map((side) => side.next("postcopy-paused")));
  assertThrows(() => outgoing.resume(parseUri("tcp:127.0.0.1:1")), StateError, "no resuming");
  const now = contentOf(pair.source, "ram");
  const gone = Array.from({ length: 400 }, (_, page) => page)
    .filter((page) => page % 4 !== 3 && now[page * 4096 + 1] === 0).length;
  if (libc()) assert(gone > 0 && gone < 300, `${gone}`);
  else assertEquals(now, before);
});

Deno.test("A destination that is done and cannot say so leaves a source that knows what to do", async () => {
  await using pair = await Pair.create({ blocks: { ram: 400 } });
  const there = new MigrationControl({ target: () => new MachineTarget(pair.destination) });
  there.setCapabilities(POSTCOPY);
  const incoming = there.migrateIncoming("tcp:127.0.0.1:0");
  const uri = formatUri(await incoming.listening);
  await using tap = new Tap({ to: uri, record: false });
  const events = new Events();
  const outgoing = pair.send(tap.uri, { ...settings(POSTCOPY, SLOW), onEvent: events.on });
  outgoing.startPostcopy();
  await events.next("postcopy-active");
  assertEquals(outgoing.status, "postcopy-active");
  // From here on nothing that the destination says comes through.
  tap.back().stall();
  outgoing.setParameters(settings().parameters);
  await incoming.completed;
  tap.cut();
  await events.next("postcopy-paused");
  const unconfirmed = "All of the machine was sent, and the destination did not confirm it";
  assertStringIncludes(outgoing.info()["error-desc"]!, unconfirmed);
  assertStringIncludes(outgoing.info()["error-desc"]!, "If it is completed");
  assert(pair.destination.running && !pair.source.running);

  await assertRejects(
    () => there.recover("tcp:127.0.0.1:0"),
    StateError,
    "the machine is whole here",
  );
  // Whoever tries all the same is told again.
  outgoing.resume(parseUri(uri));
  await events.next("postcopy-paused");
  assertStringIncludes(outgoing.info()["error-desc"]!, unconfirmed);
  assertStringIncludes(outgoing.info()["error-desc"]!, "connection refused");
  assertEquals(contentOf(pair.destination, "ram"), contentOf(pair.source, "ram"));
});

// ── what no destination should say ──────────────────────────────────────────────────────────────

/** A machine that is on its way to a destination that has its package. */
async function switched(
  pair: Pair,
  destination: ScriptedDestination,
  options: Partial<OutgoingOptions> = {},
) {
  const events = new Events();
  const outgoing = pair.send(destination.uri, {
    ...settings(POSTCOPY, SLOW),
    ...options,
    onEvent: events.on,
  });
  outgoing.startPostcopy();
  const connection = await destination.accept();
  await connection.sees(PING_1);
  await connection.say({ type: "PONG", value: 1 });
  await connection.sees(PACKAGE_END);
  await events.next("postcopy-device");
  return { outgoing, connection, events };
}

for (
  const [name, fail, error] of [
    ["says that it failed", "SHUT", PeerFailedError],
    ["is gone", "close", ConnectionLostError],
    ["asks for what there is not", "request", Error],
    ["does not answer", "silence", ConnectionLostError],
  ] as const
) {
  Deno.test(`Before the destination runs, the machine comes back if it ${name}`, async () => {
    await using pair = await Pair.create({ blocks: { ram: 400 } });
    using destination = new ScriptedDestination();
    const { outgoing, connection, events } = await switched(pair, destination, {
      ...fail === "silence" && { answerTimeout: 200 },
    });
    if (fail === "SHUT") await connection.say({ type: "SHUT", status: 1 });
    if (fail === "close") connection.close();
    if (fail === "request") {
      await connection.say({ type: "REQ_PAGES", block: "no", start: 0, length: 4096 });
    }
    await assertRejects(() => outgoing.completed, error);
    assertEquals(events.words, "setup active STOP device postcopy-device RESUME failed");
    assertEquals(pair.source.running, true);
    await connection.ended();
  });
}

Deno.test("Once it runs there, nothing that is said brings it back, or loses it", async () => {
  await using pair = await Pair.create({ blocks: { ram: 400 } });
  using destination = new ScriptedDestination();
  const { outgoing, connection, events } = await switched(pair, destination, {
    answerTimeout: 300,
  });
  await connection.say({ type: "PONG", value: 0x42 });
  await events.next("postcopy-active");
  await connection.say({ type: "REQ_PAGES", block: "ram", start: 400 * 4096, length: 4096 });
  await events.next("postcopy-paused");
  assertStringIncludes(outgoing.info()["error-desc"]!, `RAM block "ram", which has 1638400 bytes`);
  assertEquals(pair.source.runState, "finish-migrate");
  await connection.ended();

  const question = "08000a0004 0372616d";
  const bitmap = (size: number, mark = RECV_BITMAP_END_MARK) =>
    new ByteWriter().be64(size).zeros(receivedBitmapSize(400)).be64(mark).take();
  const tries: readonly [string, (() => Uint8Array) | undefined, string][] = [
    ["of another size", () => bitmap(8), "has 8 bytes, not 56"],
    ["without its end", () => bitmap(56, 7n), "end mark"],
    ["that never comes", undefined, "did not answer within 300 ms"],
    ["that ends with the connection", () => bitmap(56).subarray(0, 30), "inside a received bitmap"],
  ];
  for (const [, bytes, words] of tries) {
    outgoing.resume(parseUri(destination.uri));
    const again = await destination.accept();
    await again.sees(question);
    if (bytes) {
      await again.say({ type: "RECV_BITMAP", block: "ram" });
      await again.sayBytes(bytes());
      if (bytes().length < bitmap(56).length) again.close();
    }
    await events.next("postcopy-paused");
    assertStringIncludes(outgoing.info()["error-desc"]!, words);
  }

  // It answers as it should, and then says nothing more.
  outgoing.resume(parseUri(destination.uri));
  const mute = await destination.accept();
  await mute.sees(question);
  await mute.say({ type: "RECV_BITMAP", block: "ram" });
  await mute.sayBytes(bitmap(56));
  await mute.sees("0800090000");
  await events.next("postcopy-paused");
  assertStringIncludes(outgoing.info()["error-desc"]!, "did not answer within 300 ms");

  // It answers as it should, but does not go on.
  outgoing.resume(parseUri(destination.uri));
  const deaf = await destination.accept();
  await deaf.sees(question);
  await deaf.say({ type: "RECV_BITMAP", block: "ram" });
  await deaf.sayBytes(bitmap(56));
  await deaf.sees("0800090000");
  await deaf.say({ type: "RESUME_ACK", value: 2 });
  await events.next("postcopy-paused");
  assertStringIncludes(outgoing.info()["error-desc"]!, "does not go on");

  // It has all, but says that it has failed: that is no missing confirmation.
  outgoing.resume(parseUri(destination.uri));
  const failed = await destination.accept();
  await failed.sees(question);
  await failed.say({ type: "RECV_BITMAP", block: "ram" });
  await failed.sayBytes(bitmap(56));
  await failed.sees("0800090000");
  await failed.say({ type: "RESUME_ACK", value: 1 }, { type: "SHUT", status: 1 });
  await events.next("postcopy-paused");
  assertStringIncludes(outgoing.info()["error-desc"]!, "The destination failed (status 1)");

  // And then it does: all pages are sent, because it has none.
  outgoing.resume(parseUri(destination.uri));
  outgoing.setParameters(settings().parameters);
  const good = await destination.accept();
  await good.sees(question);
  await good.say({ type: "RECV_BITMAP", block: "ram" });
  await good.sayBytes(bitmap(56));
  await good.sees("0800090000");
  await good.say({ type: "RESUME_ACK", value: 1 });
  await good.ended();
  await good.say({ type: "SHUT", status: 0 });
  await outgoing.completed;
  assertEquals(pair.source.runState, "postmigrate");
});

/** Messages that no destination should send while its guest runs, and what is said of them. */
const WRONG: readonly [string, string][] = [
  ["0008 0000", "Unknown return-path message 8"],
  ["0000 0004 00000000", "Unknown return-path message 0"],
  ["0002 0003 000000", "PONG with 3 bytes, not 4"],
  ["0003 0201", "REQ_PAGES_ID with 513 bytes"],
  ["0003 0010 0000000000000000 00001000 04 72616d", "do not fit its block's name"],
  ["0004 000c 0000000000000000 00001000", "the block before, and there was none"],
  ["0003 0010 0000000000000000 00001000 03 726f6d", 'RAM block "rom"'],
  ["0003 0010 0000000000000200 00001000 03 72616d", "not whole pages"],
  ["0003 0010 0000000000000000 00000000 03 72616d", "not whole pages"],
  ["0003 0010 0000000000000000 fffff000 03 72616d", "which has 1638400 bytes"],
  ["0003 0010 000ffffffffff000 00001000 03 72616d", "which has 1638400 bytes"],
  ["0003 0010 ffffffffffff0000 00001000 03 72616d", "is absurd"],
  ["0005 0004 03 72616d", "and nobody had asked"],
  ["0006 0004 00000002", "does not go on (2)"],
  ["0001 0004 00000000", "ended the migration before it was complete"],
  ["0001 0004 00000001", "The destination failed (status 1)"],
];

Deno.test("What no destination should say pauses, each time, and nothing is lost", async () => {
  await using pair = await Pair.create({ blocks: { ram: 400 } });
  using destination = new ScriptedDestination();
  const { outgoing, connection, events } = await switched(pair, destination);
  await connection.say({ type: "PONG", value: 0x42 });
  let now = connection;
  for (const [hex, words] of [...WRONG, undefined].map((each) => each ?? [])) {
    await events.next("postcopy-active");
    if (hex === undefined) break;
    await now.sayBytes(Uint8Array.fromHex(hex.replaceAll(" ", "")));
    await events.next("postcopy-paused");
    assertStringIncludes(outgoing.info()["error-desc"]!, words!);
    await now.ended();
    outgoing.resume(parseUri(destination.uri));
    now = await destination.accept();
    await now.say({ type: "RECV_BITMAP", block: "ram" });
    await now.sayBytes(
      new ByteWriter().be64(56).zeros(56).be64(RECV_BITMAP_END_MARK).take(),
    );
    await now.sees("0800090000");
    await now.say({ type: "RESUME_ACK", value: 1 });
  }
  outgoing.setParameters(settings().parameters);
  await now.ended();
  await now.say({ type: "SHUT", status: 0 });
  const { ram } = await outgoing.completed;
  assertEquals(pair.source.runState, "postmigrate");
  assert(ram!.normal >= 300);
});

for (const preempt of [false, true]) {
  Deno.test(`A flood of requests is answered, each page once (preempt: ${preempt})`, async () => {
    await using pair = await Pair.create({ blocks: { ram: 400 } });
    using destination = new ScriptedDestination();
    const on = { ...POSTCOPY, "postcopy-preempt": preempt };
    const outgoing = pair.send(destination.uri, settings(on, SLOW));
    outgoing.startPostcopy();
    const connection = await destination.accept();
    await connection.sees(PING_1);
    const pongs = Array.from({ length: 0x58 }, (_, i) => ({ type: "PONG", value: i }) as const);
    await connection.say(...pongs.filter(({ value }) => value !== 0x42));
    const channel = preempt ? await destination.accept() : connection;
    await connection.sees(PACKAGE_END);
    await connection.say({ type: "PONG", value: 0x42 });
    const count = 200_000;
    const flood = new Uint8Array(16 * count);
    for (let i = 0; i < count; i++) {
      putPlainRequest(flood, 16 * i, { start: i % 400 * 4096, length: 4096 });
    }
    await connection.say({ type: "REQ_PAGES", block: "ram", start: 0, length: 4096 });
    await connection.sayBytes(flood);
    await connection.ended();
    await connection.say({ type: "SHUT", status: 0 });
    const { ram } = await outgoing.completed;
    assertEquals(ram!["postcopy-requests"], count + 1);
    // Rounds before the switch send some of them, too.
    const pages = ram!.normal + ram!.duplicate;
    assert(pages >= 400 && pages < 1200, `${pages} pages`);
    assert(channel.received.length > 100 * 4096, `${channel.received.length} bytes`);
  });
}

// ── images ──────────────────────────────────────────────────────────────────────────────────────

Deno.test("An image that lacks pages does not go by postcopy, and one that is a file not by multifd", () =>
  withFolder(async (folder) => {
    using destination = new ScriptedDestination();
    const uri = parseUri(destination.uri);
    await saveImage(smallImage(), `${folder}/image`);
    const image = await openImage(`${folder}/image`);
    const lacking = new OutgoingMigration(new ImageSource(image), { uri, ...settings(POSTCOPY) });
    const error = await assertRejects(() => lacking.completed, IncompatibleError);
    assertStringIncludes(error.message, `1 of 1 pages of RAM block "shared" are not in the image`);
    const split = new OutgoingMigration(new ImageSource(image), {
      uri,
      ...settings({ multifd: true }),
    });
    await assertRejects(() => split.completed, SettingError, "multifd");
  }));

Deno.test("A migration that another program began is taken up where it ended", () =>
  withFolder(async (folder) => {
    await using pair = await Pair.create({ blocks: { ram: 400, more: 7 } });
    const kept = new ImageTarget((image) => saveImage(image, `${folder}/image`));
    const keeping = new IncomingMigration(kept, {
      uri: parseUri("tcp:127.0.0.1:0"),
      ...settings(),
    });
    await pair.send(formatUri(await keeping.listening)).completed;
    await keeping.completed;
    const open = async () => new ImageSource(await openImage(`${folder}/image`));

    const there = new Events();
    const incoming = pair.receive({ ...settings(POSTCOPY), onEvent: there.on });
    await using tap = new Tap({ to: formatUri(await incoming.listening), record: false });
    const events = new Events();
    const first = new OutgoingMigration(await open(), {
      ...{ uri: parseUri(tap.uri), onEvent: events.on },
      ...settings(POSTCOPY, SLOW),
    });
    first.startPostcopy();
    await events.next("postcopy-active");
    const { transferred } = first.info().ram!;
    while (first.info().ram!.transferred < transferred + 200_000) {
      await new Promise((go) => setTimeout(go, 1));
    }
    tap.cut();
    await there.next("postcopy-paused");

    // Nobody is there at first: that is no reason to end.
    const anew = new Events();
    const second = new OutgoingMigration(await open(), {
      ...{ uri: parseUri("tcp:127.0.0.1:1"), onEvent: anew.on, takesUp: true },
      ...settings(POSTCOPY),
    });
    assertEquals(second.info().ram!.remaining, second.info().ram!.total);
    await anew.next("postcopy-paused");
    await anew.next("postcopy-paused");
    assertThrows(() => second.cancel(), StateError);
    second.resume(await incoming.recover(parseUri("tcp:127.0.0.1:0")));
    const info = await second.completed;
    await incoming.completed;
    assertEquals(
      anew.words,
      "postcopy-paused postcopy-recover-setup postcopy-paused " +
        "postcopy-recover-setup postcopy-recover postcopy-active completed",
    );
    assert(info.ram!.normal < 300, `${info.ram!.normal} pages, though many were there`);
    assertEquals(info.ram!["postcopy-bytes"], info.ram!.transferred);
    for (const name of ["ram", "more"]) {
      assertEquals(contentOf(pair.destination, name), contentOf(pair.source, name));
    }
  }));

Deno.test("What lacks pages is not taken up", () =>
  withFolder(async (folder) => {
    await saveImage(smallImage(), `${folder}/image`);
    const image = new ImageSource(await openImage(`${folder}/image`));
    const uri = parseUri("tcp:127.0.0.1:1");
    assertThrows(
      () => new OutgoingMigration(image, { uri, takesUp: true, ...settings(POSTCOPY) }),
      IncompatibleError,
      "are not in the image",
    );
  }));
