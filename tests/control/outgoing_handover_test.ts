import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { HandoverUnknownError, PeerFailedError, StateError } from "../../src/errors.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";
import { ScriptedDestination } from "./fixtures/scripted_destination.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");
/** The PING that asks whether all is loaded, and the byte that ends the stream with what follows it. */
const PING_LOADED = "0800020004 00000046";

function receiveImage(keep: (image: MachineImage) => Promise<void>) {
  const target = new ImageTarget(keep);
  return { target, incoming: new IncomingMigration(target, { uri: ANY_PORT, ...settings() }) };
}

Deno.test("OutgoingMigration without a return path", async () => {
  await using pair = await Pair.create();
  const { source } = await pair.migrate(settings({ "return-path": false }));
  assertEquals(source.status, "completed");
  assertEquals([pair.source.runState, pair.destination.runState], ["postmigrate", "running"]);
});

Deno.test("An image that cannot be kept is no success: the source is told, and runs on", async () => {
  await using pair = await Pair.create();
  const { incoming } = receiveImage(() => Promise.reject(new TypeError("The disk is full")));
  const outgoing = pair.send(formatUri(await incoming.listening));
  await assertRejects(() => outgoing.completed, PeerFailedError, "status 1");
  await assertRejects(() => incoming.completed, Error, "The disk is full");
  assert(pair.source.running);
});

Deno.test("The source hears of its success when the image is kept, and not before", async () => {
  await using pair = await Pair.create();
  const keeping = Promise.withResolvers<void>();
  const kept = Promise.withResolvers<void>();
  const { incoming, target } = receiveImage(() => {
    keeping.resolve();
    return kept.promise;
  });
  const outgoing = pair.send(formatUri(await incoming.listening));
  await keeping.promise;
  assertEquals([outgoing.status, incoming.status], ["device", "active"]);
  kept.resolve();
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(contentOf(target.image, "ram"), contentOf(pair.source, "ram"));
  assertEquals(pair.source.runState, "postmigrate");

  // And the image is a machine again.
  await using there = await Machine.create({ name: "pair", ram: { ram: 65536 } });
  const back = new IncomingMigration(new MachineTarget(there), { uri: ANY_PORT, ...settings() });
  const sending = new OutgoingMigration(new ImageSource(target.image), {
    uri: await back.listening,
    ...settings(),
  });
  await Promise.all([sending.completed, back.completed]);
  assert(there.running);
  assertEquals(contentOf(there, "ram"), contentOf(pair.source, "ram"));
});

Deno.test("The byte that ends the stream waits until the destination has loaded all", async () => {
  await using pair = await Pair.create();
  using destination = new ScriptedDestination();
  const outgoing = pair.send(destination.uri);
  const connection = await destination.accept();
  await connection.sees(PING_LOADED);
  assert(connection.received.toHex().endsWith(PING_LOADED.replaceAll(" ", "")), "nothing follows");
  await connection.say({ type: "PONG", value: 0x46 });
  // Behind it is the description, which begins with a byte of its own.
  await connection.sees(`${PING_LOADED} 00 06`);
  assertThrows(() => outgoing.cancel(), StateError, "Too late");
  await connection.say({ type: "SHUT", status: 0 });
  await outgoing.completed;
  assertEquals(pair.source.runState, "postmigrate");
});

Deno.test("Without a word after that byte nobody knows; before it, the machine runs on", async () => {
  for (const late of [false, true]) {
    await using pair = await Pair.create();
    using destination = new ScriptedDestination();
    const outgoing = pair.send(destination.uri);
    const connection = await destination.accept();
    await connection.sees(PING_LOADED);
    if (late) {
      await connection.say({ type: "PONG", value: 0x46 });
      await connection.sees(`${PING_LOADED} 00 06`);
    }
    connection.close();
    const error = await assertRejects(() => outgoing.completed);
    assertEquals(error instanceof HandoverUnknownError, late);
    assertEquals(pair.source.running, !late);
  }
});
