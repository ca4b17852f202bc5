import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CancelledError,
  ConnectionLostError,
  SettingError,
  TransportError,
} from "../../src/errors.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { connectTo } from "../support/sockets.ts";
import { Pair, settings } from "./fixtures/pair.ts";

Deno.test("IncomingMigration.listening gives the port that was chosen", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive();
  assertEquals(incoming.info(), {});
  const uri = await incoming.listening;
  assert(uri.kind === "tcp" && uri.port > 0);
  assertEquals(incoming.info(), { status: "setup" });
  assertEquals(incoming.received, 0);
  incoming.cancel();
  await assertRejects(() => incoming.completed, CancelledError);
});

Deno.test("IncomingMigration where nobody can listen rejects both promises", async () => {
  await using pair = await Pair.create();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const incoming = pair.receive({ uri: parseUri(`tcp:127.0.0.1:${port}`) });
  await assertRejects(() => incoming.listening, TransportError, "in use");
  await assertRejects(() => incoming.completed, TransportError, "in use");
});

Deno.test("IncomingMigration does not wait for ever for a source that has nothing to say", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive({ beginningTimeout: 50 });
  using visitor = await connectTo(formatUri(await incoming.listening));
  const error = await assertRejects(() => incoming.completed, ConnectionLostError);
  assert(error.message.includes("did not begin a migration within 50 ms"), error.message);
  // The visitor is shown out.
  assertEquals(await visitor.read(new Uint8Array(1)), null);
});

Deno.test("IncomingMigration lets a source that has begun take its time", async () => {
  await using pair = await Pair.create();
  // Long enough for a busy host to begin in, and shorter than the rest takes.
  const incoming = pair.receive({ beginningTimeout: 3000 });
  const outgoing = pair.send(
    formatUri(await incoming.listening),
    settings({}, { "max-bandwidth": 12_000 }),
  );
  await Promise.all([outgoing.completed, incoming.completed]);
  assert(pair.destination.running);
});

Deno.test("IncomingLink refuses an address that gives one connection where more are needed", async () => {
  await using pair = await Pair.create();
  for (const capability of ["multifd", "postcopy-preempt"]) {
    const set = settings({ "postcopy-ram": capability !== "multifd", [capability]: true });
    const incoming = pair.receive({ ...set, uri: parseUri("exec:cat /dev/null") });
    await assertRejects(() => incoming.listening, SettingError, "multi-channel URIs");
    await assertRejects(() => incoming.completed, SettingError);
  }
});

Deno.test("A source that gives up before it has sent anything is told so, with what to do", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive();
  const connection = await connectTo(formatUri(await incoming.listening));
  connection.close();
  const error = await assertRejects(() => incoming.completed, ConnectionLostError);
  assert(/^Nothing came from tcp:127.0.0.1:\d+ before it gave up/.test(error.message));
  assert(error.advice?.includes("begin anew on both sides"));

  const command = pair.receive({ uri: parseUri("exec:true") });
  const silent = await assertRejects(() => command.completed, ConnectionLostError);
  assert(
    silent.message.startsWith("Nothing came from exec:true before it gave up"),
    silent.message,
  );

  const path = await Deno.makeTempFile();
  try {
    const file = pair.receive({ uri: parseUri(`file:${path}`) });
    await assertRejects(() => file.completed, ConnectionLostError, `Nothing is in file:${path}`);
  } finally {
    await Deno.remove(path);
  }
});
