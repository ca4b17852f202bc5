import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, TransportError, UsageError } from "../../src/errors.ts";
import { QmpClient } from "../../src/qmp/client.ts";
import type { JsonObject } from "../../src/qmp/json.ts";
import { QmpError } from "../../src/qmp/qmp_error.ts";
import { EventLog } from "../support/event_log.ts";
import { listenOn } from "../support/sockets.ts";
import { Served } from "./fixtures/served.ts";

/** Listens once, says something, and closes when the test says so. */
function speaker(text: string) {
  const { listener, uri } = listenOn("tcp:127.0.0.1:0");
  const accepted = listener.accept().then(async (connection) => {
    await connection.write(new TextEncoder().encode(text));
    return connection;
  });
  return {
    uri,
    async [Symbol.asyncDispose]() {
      listener.close();
      (await accepted).close();
    },
  };
}

Deno.test("QmpClient runs commands, several at a time, and hears of events", async () => {
  await using served = await Served.create();
  const events = new EventLog<JsonObject>();
  await using client = await QmpClient.connect(served.server.uri, (event) => events.push(event));
  assertEquals(client.greeting["capabilities"], ["oob"]);
  const answers = await Promise.all([
    client.execute("query-name"),
    client.execute("query-status"),
    client.execute("yank", { instances: [] }, "exec-oob"),
  ]);
  assertEquals(answers, [{ name: "served" }, { status: "running", running: true }, {}]);
  await client.execute("stop");
  assertEquals(events.entries.map(({ event }) => event), ["STOP"]);
});

Deno.test("QmpClient passes on why a command is refused", async () => {
  await using served = await Served.create();
  await using client = await QmpClient.connect(served.server.uri);
  const error = await assertRejects(() => client.execute("nothing"), QmpError);
  assertEquals(error.qmpClass, "CommandNotFound");
  const refused = client.execute("yank", { instances: [{ type: "migration" }] });
  assertEquals((await assertRejects(() => refused, QmpError)).qmpClass, "DeviceNotFound");
});

Deno.test("QmpClient says when the server is gone, also to commands without an answer", async () => {
  const served = await Served.create();
  await using client = await QmpClient.connect(served.server.uri);
  await served[Symbol.asyncDispose]();
  await client.closed;
  await assertRejects(() => client.execute("query-name"), ConnectionLostError);
});

Deno.test("QmpClient wants a QMP server at an address where one can be", async () => {
  await assertRejects(() => QmpClient.connect("exec:cat"), UsageError, "QMP is at unix:PATH");
  const { listener, uri } = listenOn("tcp:127.0.0.1:0");
  listener.close();
  await assertRejects(() => QmpClient.connect(uri), TransportError, "connection refused");
  await using web = speaker("HTTP/1.1 400 Bad Request\r\n\r\n");
  await assertRejects(() => QmpClient.connect(web.uri), ConnectionLostError, "is no QMP server");
});
