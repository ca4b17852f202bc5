import { assert, assertEquals } from "@std/assert";
import { answerTypes, CHANNELS } from "../../src/qmp/answers.ts";
import { ANSWERS } from "../../src/qmp/commands.ts";
import { type JsonObject, readJson, writeJson } from "../../src/qmp/json.ts";
import { PARAMETER_ANSWERS } from "../../src/qmp/settings_commands.ts";
import { QmpClient } from "../support/qmp_client.ts";
import { Served } from "./fixtures/served.ts";

const NOTHING = "query-qmp-schema"; // which says this itself

/** Asserts that every query of a side answers what it is said to, and that all others answer `{}`. */
async function assertAsSaid(client: QmpClient): Promise<void> {
  const commands = await client.execute("query-commands") as { name: string }[];
  const queries = commands.map(({ name }) => name).filter((name) => name.startsWith("query-"));
  assertEquals(queries.filter((name) => !(name in ANSWERS)), []);
  for (const name of queries.filter((each) => each !== NOTHING)) {
    const answer = readJson(writeJson(await client.execute(name)));
    ANSWERS[name]!.read(answer, name); // throws what is wrong, and where
  }
}

Deno.test("Each query answers what the schema says, before a migration, in it and after it", async () => {
  await using source = await Served.create();
  await using destination = await Served.create({ arrives: true });
  await using here = await QmpClient.connect(source.server.uri);
  await using there = await QmpClient.connect(destination.server.uri);
  const both = async () => {
    for (const client of [here, there]) await assertAsSaid(client);
  };
  await both();
  const on = ["events", "postcopy-ram", "postcopy-blocktime", "pause-before-switchover"];
  for (const client of [here, there]) {
    await client.execute("migrate-set-capabilities", {
      capabilities: on.map((capability) => ({ capability, state: true })),
    });
  }
  await here.execute("migrate-set-capabilities", {
    capabilities: [{ capability: "xbzrle", state: true }],
  });
  await there.execute("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
  await both();
  const info = await there.execute("query-migrate") as { "socket-address": JsonObject[] };
  const { host, port } = info["socket-address"][0]!;
  await here.execute("migrate", { uri: `tcp:${host}:${port}` });
  await here.events.waitForStatus("pre-switchover");
  await both();
  await here.execute("migrate-continue", { state: "pre-switchover" });
  for (const client of [here, there]) await client.events.waitForStatus("completed");
  await both();
  await there.execute("calc-dirty-rate", { "calc-time": 50, "calc-time-unit": "millisecond" });
  await there.execute("migrate", { uri: "unix:/nowhere/at/all" }).catch(() => {});
  await both();
});

Deno.test("answerTypes() shows parameters with the types that they are given", () => {
  const { "query-migrate-parameters": shown } = answerTypes(PARAMETER_ANSWERS);
  assert(shown?.shape.kind === "object");
  assertEquals(Object.keys(shown.shape.members), Object.keys(PARAMETER_ANSWERS));
});

Deno.test("CHANNELS has the words that can stand in a list of channels", () => {
  const addr = { transport: "socket", type: "inet", host: "h", port: "1" };
  CHANNELS.read([{ "channel-type": "main", addr }], "channels");
});
