import { assertEquals, assertRejects } from "@std/assert";
import { TextLineStream } from "@std/streams";
import { type JsonObject, parseJsonObject } from "./json.ts";
import { QmpClient, QmpClosedError, QmpCommandError } from "./qmp_client.ts";
import { closeQuietly, listenOn, writeAll } from "./sockets.ts";

type Answer = (request: JsonObject) => JsonObject[] | "close";

/** A QMP server for one client, which answers as it is told. */
class Server implements AsyncDisposable {
  readonly uri: string;
  readonly requests: JsonObject[] = [];
  readonly #listener: Deno.Listener;
  readonly #serving: Promise<void>;

  constructor(private readonly answer: Answer, private readonly capabilities: string[] = []) {
    ({ listener: this.#listener, uri: this.uri } = listenOn("tcp:127.0.0.1:0"));
    this.#serving = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeQuietly(this.#listener);
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const connection = await this.#listener.accept();
    const say = (value: JsonObject) =>
      writeAll(connection, new TextEncoder().encode(JSON.stringify(value) + "\r\n"));
    await say({ QMP: { version: { qemu: { major: 10 } }, capabilities: this.capabilities } });
    const lines = connection.readable.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      const { id, ...request } = parseJsonObject(line);
      this.requests.push(request);
      const answers = request["execute"] === "qmp_capabilities"
        ? [{ return: {} }]
        : this.answer(request);
      if (answers === "close") break;
      for (const answer of answers) await say("event" in answer ? answer : { ...answer, id });
    }
    closeQuietly(connection);
  }
}

Deno.test("QmpClient negotiates, runs commands and collects events", async () => {
  await using server = new Server(() => [
    { event: "STOP", timestamp: { seconds: 1, microseconds: 2 } },
    { return: { status: "paused" } },
  ], ["oob"]);
  await using client = await QmpClient.connect(server.uri);
  assertEquals((await client.greeting).version, { qemu: { major: 10 } });
  assertEquals(await client.execute("query-status", { a: 1 }), { status: "paused" });
  assertEquals(client.events.names, ["STOP"]);
  assertEquals(server.requests, [
    { execute: "qmp_capabilities", arguments: { enable: ["oob"] } },
    { execute: "query-status", arguments: { a: 1 } },
  ]);
  assertEquals(client.sent.at(-1), '{"execute":"query-status","arguments":{"a":1}}');
});

Deno.test("QmpClient does not ask for oob where there is none, and sends it out of band", async () => {
  await using server = new Server(() => [{ return: {} }]);
  await using client = await QmpClient.connect(server.uri);
  await client.execute("migrate-pause", undefined, "exec-oob");
  assertEquals(server.requests, [{ execute: "qmp_capabilities" }, { "exec-oob": "migrate-pause" }]);
});

Deno.test("QmpClient.execute() throws QMP's error with its class and words", async () => {
  await using server = new Server(() => [{ error: { class: "GenericError", desc: "No way" } }]);
  await using client = await QmpClient.connect(server.uri);
  const error = await assertRejects(() => client.execute("migrate"), QmpCommandError);
  assertEquals(error.message, "QMP migrate: GenericError: No way");
  assertEquals([error.command, error.qmpClass, error.description], [
    ...["migrate", "GenericError", "No way"],
  ]);
});

Deno.test("QmpClient fails commands and waits when the server goes away", async () => {
  await using server = new Server(() => "close");
  await using client = await QmpClient.connect(server.uri);
  const waiting = assertRejects(() => client.events.waitForEvent("STOP"), QmpClosedError);
  await assertRejects(() => client.execute("quit"), QmpClosedError, "closed by the server");
  await waiting;
  await assertRejects(() => client.execute("quit"), QmpClosedError);
});

Deno.test("QmpClient.close() fails commands without an answer", async () => {
  await using server = new Server(() => []);
  const client = await QmpClient.connect(server.uri);
  const waiting = assertRejects(() => client.execute("slow"), QmpClosedError, "by the client");
  await client.close();
  await waiting;
});
