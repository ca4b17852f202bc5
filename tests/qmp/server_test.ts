import { assert, assertEquals, assertRejects } from "@std/assert";
import { StateError, TransportError, UsageError } from "../../src/errors.ts";
import { type QmpServer, serveQmp } from "../../src/qmp/server.ts";
import { closeQuietly, connectTo, listenOn } from "../support/sockets.ts";
import { QmpClient } from "../support/qmp_client.ts";
import { contentOf } from "../control/fixtures/pair.ts";
import type { JsonObject } from "../support/json.ts";
import { errorOf, Served, smallMachine, type Talk } from "./fixtures/served.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const SCHEMA = '{"execute":"query-qmp-schema"}';

/** What no client should say, the more so while a machine moves. */
const HOSTILE: readonly (string | Uint8Array)[] = [
  "{'execute': @}\n",
  "]}\n",
  Uint8Array.from([0x7b, 0xff, 0xfe, 0x00, 0x0a]),
  `{"execute":"${"x".repeat(2 * 1024 ** 2)}\n`,
  `${"[".repeat(1025)}\n`,
  '{"execute":"migrate","arguments":{"uri":5}}',
  '{"execute":"migrate","arguments":{"uri":"exec:true"}}',
  '{"execute":"migrate","arguments":{"uri":"tcp:127.0.0.1:1","resume":true}}',
  '{"execute":"migrate-incoming","arguments":{"uri":"tcp:127.0.0.1:0"}}',
  '{"execute":"migrate-recover","arguments":{"uri":"tcp:127.0.0.1:0"}}',
  '{"execute":"migrate-pause"}',
  '{"execute":"migrate-start-postcopy"}',
  '{"execute":"migrate-continue","arguments":{"state":"pre-switchover"}}',
  '{"execute":"migrate-set-capabilities","arguments":{"capabilities":[' +
  '{"capability":"multifd","state":true}]}}',
  '{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":"fast"}}',
  '{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":-1}}',
  '{"execute":"__proto__"}',
  '{"execute":"nothing","arguments":{"__proto__":{"x":1}}}',
];

Deno.test("serveQmp() listens on TCP and Unix sockets, and leaves no file", async () => {
  const dir = await Deno.makeTempDir();
  for (const uri of ["tcp:127.0.0.1:0", `unix:${dir}/qmp`]) {
    await using served = await Served.create({ uri });
    await using client = await QmpClient.connect(served.server.uri);
    assertEquals(await client.execute("query-status"), { status: "running", running: true });
  }
  await Deno.remove(dir);
});

Deno.test("serveQmp() refuses other addresses, and those it cannot have", async () => {
  await using machine = await smallMachine();
  const target = { control: machine.control, machine, quit: () => {} };
  await assertRejects(() => serveQmp(target, "exec:cat"), UsageError, "QMP is served on unix:PATH");
  await assertRejects(() => serveQmp(target, "nonsense"), UsageError);
  const { listener, uri } = listenOn("tcp:127.0.0.1:0");
  await assertRejects(() => serveQmp(target, uri), TransportError, "the address is in use");
  listener.close();
});

Deno.test("Each client negotiates for itself; events go to those that have", async () => {
  await using served = await Served.create();
  await using first = await served.negotiated();
  await using second = await served.talk();
  await second.next();
  await served.machine.stop();
  const event = await first.next();
  assertEquals(event["event"], "STOP");
  assertEquals(
    errorOf(await second.ask({ execute: "query-status" })),
    "CommandNotFound: Expecting capabilities negotiation with 'qmp_capabilities'",
  );
  await second.ask({ execute: "qmp_capabilities" });
  await served.machine.start();
  assertEquals((await first.next())["event"], "RESUME");
  assertEquals((await second.next())["event"], "RESUME");
});

Deno.test("Commands come split at any byte, and several at once", async () => {
  await using served = await Served.create();
  await using talk = await served.negotiated();
  const commands = '{"execute":"query-status","id":"}{"}{"execute":"query-name","id":2}';
  for (let at = 0; at <= commands.length; at++) {
    await talk.say(commands.slice(0, at));
    await talk.say(commands.slice(at));
    assertEquals((await talk.next())["id"], "}{");
    assertEquals(await talk.next(), { return: { name: "served" }, id: 2 });
  }
});

Deno.test("What is malformed or too large is refused, and the client can go on", async () => {
  await using served = await Served.create();
  await using other = await served.negotiated();
  await using talk = await served.negotiated();
  assertEquals(
    errorOf(await talk.ask('{"execute": @}\n')),
    "GenericError: JSON parse error, stray '@'",
  );
  assertEquals(errorOf(await talk.next()), "GenericError: JSON parse error, expecting value");
  assertEquals(
    errorOf(await talk.ask(`{"execute": "${"x".repeat(1024 ** 2)}\n`)),
    "GenericError: JSON token size limit exceeded",
  );
  assertEquals(
    errorOf(await talk.ask(`${"[".repeat(1025)}\n`)),
    "GenericError: JSON nesting depth limit exceeded",
  );
  assertEquals(await talk.run("query-name"), { return: { name: "served" } });
  assertEquals(await other.run("query-name"), { return: { name: "served" } });
});

Deno.test("A client that ends its side still gets its answers", async () => {
  await using served = await Served.create();
  await using talk = await served.talk();
  await talk.say('{"execute":"qmp_capabilities"}{"execute":"query-name","id":7}');
  await talk.connection.closeWrite();
  await talk.end();
  assertEquals(talk.heard.entries.at(-1), { return: { name: "served" }, id: 7 });
});

Deno.test("A client that never reads disturbs nobody, and is dropped when it owes too much", async () => {
  await using served = await Served.create();
  await using other = await served.negotiated();
  const deaf = await connectTo(served.server.uri);
  await deaf.write(new TextEncoder().encode('{"execute":"qmp_capabilities"}'));
  // Commands fill what the kernel holds and stop being taken; events come all the same.
  const commands = new TextEncoder().encode('{"execute":"query-commands"}'.repeat(100));
  const dropped = (async () => {
    for (;;) {
      try {
        await deaf.write(commands);
      } catch (error) {
        return error;
      }
    }
  })();
  for (let i = 0; i < 50; i++) assert("return" in await other.run("query-status"));
  let gone = false;
  dropped.then(() => gone = true);
  for (let i = 0; !gone; i++) {
    await (i % 2 === 0 ? served.machine.stop() : served.machine.start());
    // Those who read get the time for it.
    if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert("return" in await other.run("query-status"));
  closeQuietly(deaf);
});

Deno.test("Whatever clients say while a machine moves, it arrives whole", async () => {
  await using here = await Served.create();
  await using there = await Served.create({ arrives: true });
  const before = contentOf(here.machine, "ram");
  await using destination = await there.negotiated();
  await using source = await here.negotiated();
  await destination.run("migrate-incoming", { uri: "tcp:127.0.0.1:0", "exit-on-error": false });
  const { "socket-address": [address] } = (await destination.run("query-migrate"))["return"] as {
    "socket-address": { host: string; port: string }[];
  };
  await source.run("migrate-set-parameters", { "max-bandwidth": 64 });
  await source.run("migrate", { uri: `tcp:${address!.host}:${address!.port}` });
  for (const served of [here, there]) {
    await using hostile = await served.negotiated();
    const deaf = await connectTo(served.server.uri);
    await deaf.write(encode(`{"execute":"qmp_capabilities"}${SCHEMA.repeat(1000)}`));
    for (const text of HOSTILE) await hostile.say(text);
    await hostile.say('{"execute":"query-name","id":"end"}');
    while ((await hostile.next())["id"] !== "end");
    closeQuietly(deaf);
  }
  const status = async (talk: Talk) =>
    ((await talk.run("query-migrate"))["return"] as JsonObject)["status"];
  assertEquals(await status(source), "active");
  await source.run("migrate-set-parameters", { "max-bandwidth": 0 });
  for (const talk of [source, destination]) {
    while (await status(talk) !== "completed");
  }
  assertEquals(contentOf(there.machine, "ram"), before);
});

Deno.test("quit tells every client, answers, and asks the program to end", async () => {
  await using served = await Served.create();
  await using other = await served.negotiated();
  await using talk = await served.negotiated();
  const event = await talk.ask({ execute: "quit", id: 1 });
  assertEquals(event["event"], "SHUTDOWN");
  assertEquals(event["data"], { guest: false, reason: "host-qmp-quit" });
  assertEquals(await talk.next(), { return: {}, id: 1 });
  assertEquals((await other.next())["event"], "SHUTDOWN");
  await served.quits.wait((status) => status === 0, { what: "quit" });
});

Deno.test("A server that ends says what it owes, and closes", async () => {
  const served = await Served.create();
  const talk = await served.negotiated();
  await talk.say('{"execute":"query-name","id":1}');
  await talk.next();
  await served[Symbol.asyncDispose]();
  await talk.end();
  await assertRejects(() => connectTo(served.server.uri));
  await talk[Symbol.asyncDispose]();
});

Deno.test("More clients than a server takes are turned away until one leaves", async () => {
  await using served = await Served.create();
  const talks: Talk[] = [];
  for (let i = 0; i < 64; i++) talks.push(await served.negotiated());
  await using refused = await served.talk();
  await refused.end();
  assertEquals(refused.heard.entries, []);
  await Promise.all(talks.map((talk) => talk[Symbol.asyncDispose]()));
  await untilServed(served.server);
});

Deno.test("A thousand clients that say nothing keep nobody out, and disturb nobody", async () => {
  await using served = await Served.create();
  await using before = await served.negotiated();
  const silent: Deno.Conn[] = [];
  for (let i = 0; i < 1000; i++) {
    silent.push(await connectTo(served.server.uri));
    if (i % 100 === 0) assert("return" in await before.run("query-status"));
  }
  await using after = await served.negotiated();
  for (const talk of [before, after]) assert("return" in await talk.run("query-status"));
  // Those that made room have heard so; the last ones are still there.
  assertEquals(await readsToTheEnd(silent[0]!), true);
  silent.forEach(closeQuietly);
  assert("return" in await before.run("query-status"));
});

/** Whether a connection ends after its greeting. */
async function readsToTheEnd(connection: Deno.Conn): Promise<boolean> {
  const buffer = new Uint8Array(1024);
  try {
    while (await connection.read(buffer) !== null);
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return true;
}

/** Tries until a client is greeted: the server may not know yet that others have gone. */
async function untilServed({ uri }: QmpServer): Promise<void> {
  for (;;) {
    try {
      await using _client = await QmpClient.connect(uri);
      return;
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "QmpClosedError") throw error;
    }
  }
}

Deno.test("A command that throws is a refusal, not the end of the server", async () => {
  await using served = await Served.create({
    dirtyLimit: {
      set() {
        throw new StateError("not now");
      },
      cancel() {
        throw new TypeError("a mistake");
      },
      query: () => [],
    },
  });
  await using talk = await served.negotiated();
  assertEquals(
    errorOf(await talk.run("set-vcpu-dirty-limit", { "dirty-rate": 1 })),
    "GenericError: not now",
  );
  assertEquals(errorOf(await talk.run("cancel-vcpu-dirty-limit")), "GenericError: a mistake");
  assertEquals(await talk.run("query-vcpu-dirty-limit"), { return: [] });
});
