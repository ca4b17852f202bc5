import { assert, assertEquals, assertRejects } from "@std/assert";
import type { JsonObject } from "../../src/qmp/json.ts";
import { QmpClient } from "../support/qmp_client.ts";
import type { JsonObject as Json } from "../support/json.ts";
import { errorOf, Served } from "./fixtures/served.ts";

const DESTINATION_ANYWHERE = { uri: "tcp:127.0.0.1:0" };

async function enableEvents(client: QmpClient): Promise<void> {
  await client.execute("migrate-set-capabilities", {
    capabilities: [{ capability: "events", state: true }],
  });
}

/** A source and a destination with a client each, which hear of events. */
class Two implements AsyncDisposable {
  private constructor(
    readonly source: Served,
    readonly destination: Served,
    readonly here: QmpClient,
    readonly there: QmpClient,
  ) {}

  static async create(): Promise<Two> {
    const source = await Served.create();
    const destination = await Served.create({ start: false });
    const [here, there] = await Promise.all(
      [source, destination].map(({ server }) => QmpClient.connect(server.uri)),
    );
    await Promise.all([enableEvents(here!), enableEvents(there!)]);
    return new Two(source, destination, here!, there!);
  }

  /** Where the destination says that it waits. */
  async address(): Promise<Json> {
    const info = await this.there.execute("query-migrate") as Json;
    return (info["socket-address"] as Json[])[0]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.here.close();
    await this.there.close();
    await this.source[Symbol.asyncDispose]();
    await this.destination[Symbol.asyncDispose]();
  }
}

Deno.test("A machine moves as QMP's clients say, with a URI or with channels", async () => {
  for (const form of ["uri", "channels"]) {
    await using two = await Two.create();
    const { here, there } = two;
    const anywhere = form === "uri" ? DESTINATION_ANYWHERE : {
      channels: [{
        "channel-type": "main",
        addr: { transport: "socket", type: "inet", host: "127.0.0.1", port: "0" },
      }],
    };
    assertEquals(await there.execute("query-migrate"), {});
    assertEquals(await there.execute("migrate-incoming", anywhere), {});
    const address = await two.address();
    assertEquals([address["type"], address["host"]], ["inet", "127.0.0.1"]);
    const to: Json = form === "uri" ? { uri: `tcp:127.0.0.1:${address["port"]}` } : {
      channels: [{ "channel-type": "main", addr: { transport: "socket", ...address } }],
    };
    assertEquals(await here.execute("migrate", { ...to, detach: true }), {});
    await here.events.waitForStatus("completed");
    await there.events.waitForStatus("completed");
    const rounds = (name: string) => name !== "MIGRATION_PASS";
    assertEquals(here.events.names.filter(rounds), [
      ..."setup active STOP device completed".split(" "),
    ]);
    assertEquals(there.events.names, ["setup", "active", "RESUME", "completed"]);
    const info = await here.execute("query-migrate") as Json;
    assertEquals(info["status"], "completed");
    assertEquals(await here.execute("query-status"), { status: "postmigrate", running: false });
    assertEquals(await there.execute("query-status"), { status: "running", running: true });
    assertEquals(two.destination.quits.entries, []);
  }
});

Deno.test("A machine that has left or not arrived is not sent, and none arrives over one", async () => {
  await using two = await Two.create();
  const { here, there } = two;
  await assertRejects(
    () => here.execute("migrate-incoming", DESTINATION_ANYWHERE),
    Error,
    "There is a machine here already",
  );
  await there.execute("migrate-incoming", DESTINATION_ANYWHERE);
  await assertRejects(
    () => there.execute("migrate-incoming", DESTINATION_ANYWHERE),
    Error,
    "There's a migration process in progress",
  );
  const uri = `tcp:127.0.0.1:${(await two.address())["port"]}`;
  await here.execute("migrate", { uri });
  await here.events.waitForStatus("completed");
  await there.events.waitForStatus("completed");
  await assertRejects(
    () => here.execute("migrate", { uri }),
    Error,
    "Can't migrate the vm that was paused due to previous migration",
  );
  await assertRejects(
    () => there.execute("migrate-incoming", DESTINATION_ANYWHERE),
    Error,
    "There is a machine here already",
  );
});

const REFUSED: readonly (readonly [string, JsonObject, string])[] = [
  ["migrate", {}, "need either 'uri' or 'channels' argument"],
  ["migrate", { uri: "tcp:h:1", channels: [{}] }, "need either 'uri' or 'channels' argument"],
  ["migrate", { uri: 5 }, "Invalid parameter type for 'uri', expected: string"],
  ["migrate", { uri: "nonsense" }, '"nonsense": not a migration URI'],
  ["migrate", { uri: "tcp:h:1", resume: true }, "Cannot resume if there is no paused migration"],
  ["migrate", { uri: "tcp:h:1", x: 1 }, "Parameter 'x' is unexpected"],
  ["migrate", { channels: [] }, "need either 'uri' or 'channels' argument"],
  ["migrate", { channels: [{ "channel-type": "cpr" }] }, 'channel-type "cpr" is not supported'],
  ["migrate", { channels: [{ "channel-type": "main" }] }, "channels[0].addr is missing"],
  ["migrate-continue", {}, "Parameter 'state' is missing"],
  ["migrate-continue", { state: "x" }, "Parameter 'state' does not accept value 'x'"],
  ["migrate-continue", { state: "pre-switchover" }, "Migration not in expected state: none"],
];

Deno.test("What is not understood is refused before anything begins", async () => {
  await using served = await Served.create();
  await using talk = await served.negotiated();
  for (const [name, args, why] of REFUSED) {
    const answer = errorOf(await talk.run(name, args as Json));
    assert(answer.startsWith("GenericError: ") && answer.includes(why), answer);
  }
  assertEquals(await talk.run("query-migrate"), { return: {} });
  assertEquals(await talk.run("migrate_cancel"), { return: {} });
});

Deno.test("A multifd migration to an address for one connection does not begin", async () => {
  await using served = await Served.create();
  await using talk = await served.negotiated();
  await talk.run("migrate-set-capabilities", {
    capabilities: [{ capability: "multifd", state: true }],
  });
  const answer = errorOf(await talk.run("migrate", { uri: "exec:cat > /dev/null" }));
  assert(answer.includes("Migration requires multi-channel URIs (e.g. tcp)"), answer);
  assertEquals(await talk.run("query-migrate"), { return: {} });
});

Deno.test("A migration that cannot connect has failed, and another can begin", async () => {
  await using served = await Served.create();
  await using client = await QmpClient.connect(served.server.uri);
  await enableEvents(client);
  for (let i = 0; i < 2; i++) {
    client.events.skipStatuses();
    assertEquals(await client.execute("migrate", { uri: "tcp:127.0.0.1:1" }), {});
    await client.events.waitForStatus("failed");
    const info = await client.execute("query-migrate") as Json;
    assert(String(info["error-desc"]).includes("connection refused"));
  }
  assertEquals(await client.execute("query-status"), { status: "running", running: true });
});

Deno.test("A file or descriptor that cannot be opened is said in the answer, and the migration has failed", async () => {
  await using two = await Two.create();
  const { here } = two;
  for (const uri of ["file:/nowhere/at/all", "fd:99"]) {
    const why = uri === "fd:99" ? "not given that descriptor" : "no such file";
    await assertRejects(() => here.execute("migrate", { uri }), Error, why);
    const info = await here.execute("query-migrate") as Json;
    assertEquals(info["status"], "failed");
    assert(String(info["error-desc"]).includes(why));
  }
  assertEquals(await here.execute("query-status"), { status: "running", running: true });
});

Deno.test("A list of no channels is none", async () => {
  await using two = await Two.create();
  const { here } = two;
  await assertRejects(() => here.execute("migrate", { channels: [] }), Error, "need either");
  assertEquals(await here.execute("migrate", { channels: [], uri: "unix:/nowhere/at/all" }), {});
  await here.events.waitForStatus("failed");
});

Deno.test("pause-before-switchover waits for migrate-continue, and can be cancelled there", async () => {
  await using two = await Two.create();
  const { here, there } = two;
  await here.execute("migrate-set-capabilities", {
    capabilities: [{ capability: "pause-before-switchover", state: true }],
  });
  await there.execute("migrate-incoming", { ...DESTINATION_ANYWHERE, "exit-on-error": false });
  const send = async () =>
    await here.execute("migrate", { uri: `tcp:127.0.0.1:${(await two.address())["port"]}` });
  await send();
  await here.events.waitForStatus("pre-switchover");
  assertEquals(await here.execute("query-status"), { status: "finish-migrate", running: false });
  assertEquals(await here.execute("query-migrationthreads"), [
    { name: "mig/src/main", "thread-id": Deno.pid },
  ]);
  await assertRejects(() => here.execute("cont"), Error, "Migration is not finalized yet");
  await assertRejects(
    () => here.execute("migrate-continue", { state: "device" }),
    Error,
    "Migration not in expected state: pre-switchover",
  );
  await here.execute("migrate_cancel");
  await here.execute("migrate_cancel");
  await here.events.waitForStatus("cancelled");
  await there.events.waitForStatus("failed");
  assertEquals(await here.execute("query-status"), { status: "running", running: true });

  here.events.skipStatuses();
  there.events.skipStatuses();
  await there.execute("migrate-incoming", { ...DESTINATION_ANYWHERE, "exit-on-error": false });
  await send();
  await here.events.waitForStatus("pre-switchover");
  await here.execute("migrate-continue", { state: "pre-switchover" });
  await here.events.waitForStatus("completed");
  await there.events.waitForStatus("completed");
});

Deno.test("An incoming migration that fails ends the program, unless exit-on-error is off", async () => {
  for (const exit of [true, false]) {
    await using destination = await Served.create({ start: false });
    await using client = await QmpClient.connect(destination.server.uri);
    await enableEvents(client);
    await client.execute("migrate-incoming", {
      ...DESTINATION_ANYWHERE,
      ...!exit && { "exit-on-error": false },
    });
    const info = await client.execute("query-migrate") as Json;
    const port = Number((info["socket-address"] as Json[])[0]!["port"]);
    const source = await Deno.connect({ port });
    await source.write(new TextEncoder().encode("no migration stream"));
    await client.events.waitForStatus("failed");
    if (exit) await destination.quits.wait((status) => status === 1, { what: "quit" });
    assertEquals(destination.quits.entries, exit ? [1] : []);
    source.close();
  }
});

Deno.test("A destination that cannot listen says so, and may try elsewhere", async () => {
  await using destination = await Served.create({ start: false });
  await using talk = await destination.negotiated();
  const taken = destination.server.uri;
  const answer = errorOf(await talk.run("migrate-incoming", { uri: taken }));
  assert(answer.includes("the address is in use"), answer);
  assertEquals(await talk.run("migrate-incoming", DESTINATION_ANYWHERE), { return: {} });
  assertEquals(destination.quits.entries, []);
});
