/**
 * The same conversations with a real QEMU and with Ferry's QMP server: the answers have the same shapes, the
 * errors the same classes, the events the same order.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Talk } from "../qmp/fixtures/served.ts";
import type { JsonObject, JsonValue } from "../support/json.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import type { QmpClient } from "../support/qmp_client.ts";
import {
  assertHas,
  bothSides,
  bothTalks,
  enabled,
  type Ends,
  ferryEnds,
  kindOf,
  qemuEnds,
  shapeOf,
} from "./qmp_compared.ts";

const SENTINEL = '{"execute":"query-name","id":"sentinel"}\n';

/** Says something and returns all answers to it. */
async function answersTo(talk: Talk, text: string | Uint8Array): Promise<JsonValue[]> {
  await talk.say(text);
  await talk.say(SENTINEL);
  const kinds: JsonValue[] = [];
  for (let message; (message = await talk.next())["id"] !== "sentinel";) {
    kinds.push(kindOf(message));
  }
  return kinds;
}

const BEFORE_NEGOTIATION = [
  '{"execute":"query-status"}',
  '{"execute":"nothing","id":1}',
  '{"execute":"qmp_capabilities","arguments":{"enable":["nothing"]},"id":2}',
  '{"execute":"qmp_capabilities","arguments":{"enable":"oob"},"id":3}',
  '{"execute":"qmp_capabilities","arguments":{"x":1},"id":4}',
];

const AFTER_NEGOTIATION: readonly (string | Uint8Array)[] = [
  '{"execute":"qmp_capabilities"}',
  '{"execute":"query-status","id":{"a":[1,null,"x"]}}',
  '{"execute":"query-status","id":null}{"execute":"query-status","id":"\\u00e9\\ud83d\\ude00"}',
  '{"execute":"query-status","id":12}\n\n  {"execute":"query-status","id":1e3}',
  "{'execute':'query-status','id':'single \"quotes\"'}",
  '{"execute":"nothing","id":"x"}',
  '{"id":"x"}',
  "{}",
  '{"execute":5,"id":3}',
  '{"execute":"query-status","x":1,"id":4}',
  '{"execute":"query-status","arguments":5,"id":4}',
  '{"execute":"query-status","arguments":null,"id":4}',
  '{"execute":"query-status","arguments":{"x":1},"id":4}',
  '{"execute":"query-status","exec-oob":"query-status","id":5}',
  '{"exec-oob":"query-status","id":6}',
  '{"exec-oob":"migrate-pause","id":7}',
  '{"exec-oob":"migrate-recover","arguments":{"uri":"tcp:127.0.0.1:0"},"id":8}',
  '{"exec-oob":"yank","arguments":{"instances":[]},"id":9}',
  "[1,2]",
  "5\n",
  '"text"\n',
  "null\n",
  "hello\n",
  "{bad}",
  '{"execute":"query-status" "id":11}',
  '{"execute":"query-status","id":12,}',
  '{"execute":"query-status","execute":"query-status"}',
  '{"execute":"query-status","id":"\\xff"}',
  '{"execute":"query-status","id":"half a pair \\ud800"}',
  '{"execute":"query-status","id":"open\n',
  '{"execute": @"query-status"}',
  '@@@ hello {"execute":"query-status","id":13}',
  '{"execute":"query-status"]',
  "]}",
  "{1:2}",
  "[1 2]",
  "[".repeat(1024) + "]".repeat(1024),
  "[".repeat(1025) + "\n",
  Uint8Array.of(0xff),
  // Wherever it comes, a client can begin afresh.
  Uint8Array.from([...new TextEncoder().encode('{"execute":"query-'), 0xff]),
];

for (const enable of [[], ["oob"]]) {
  qemuTest(
    `Ferry's QMP takes and refuses what QEMU's does, ${enable[0] ?? "nothing"} enabled`,
    { needs: ["10.0"] },
    async (lab) => {
      const heard: Record<string, JsonValue[]> = {};
      for (const side of await bothSides(lab, false)) {
        const talk = await side.talk();
        const kinds: JsonValue[] = heard[side.name] = [kindOf(await talk.next())];
        for (const text of BEFORE_NEGOTIATION) kinds.push(kindOf(await talk.ask(text)));
        const negotiation = { execute: "qmp_capabilities", arguments: { enable }, id: 5 };
        kinds.push(kindOf(await talk.ask(negotiation)));
        for (const text of AFTER_NEGOTIATION) kinds.push(await answersTo(talk, text));
      }
      for (const [i, expected] of heard["QEMU"]!.entries()) {
        const said = [undefined, ...BEFORE_NEGOTIATION, "negotiation", ...AFTER_NEGOTIATION][i];
        assertEquals(heard["Ferry"]![i], expected, `${said}`);
      }
    },
  );
}

type Step = readonly [string, JsonObject?];

const capabilities = (...on: string[]): JsonObject => ({
  capabilities: on.map((capability) => ({ capability, state: true })),
});
const channels = (...addresses: JsonObject[]): JsonObject => ({
  channels: addresses.map((addr) => ({ "channel-type": "main", addr })),
});

/** What both answer alike where a machine runs. */
const RUNNING: readonly Step[] = [
  ["query-status"],
  ["query-version"],
  ["query-uuid"],
  ["query-migrate"],
  ["query-migrate-capabilities"],
  ["query-migrate-parameters"],
  ["query-migrationthreads"],
  ["stop"],
  ["query-status"],
  ["stop"],
  ["cont"],
  ["cont"],
  ["query-status"],
  ["migrate"],
  ["migrate", { uri: 5 }],
  ["migrate", { uri: null }],
  ["migrate", { uri: "" }],
  ["migrate", { uri: "nonsense" }],
  ["migrate", { uri: "tcp:127.0.0.1" }],
  ["migrate", { uri: "tcp:127.0.0.1:1", x: true }],
  ["migrate", { uri: "tcp:127.0.0.1:1", resume: "yes" }],
  ["migrate", { uri: "tcp:127.0.0.1:1", resume: true }],
  ["migrate", { channels: 5 }],
  ["migrate", { channels: [{ "channel-type": "nonsense" }] }],
  ["migrate", { channels: [{ "channel-type": "main" }] }],
  ["migrate", channels({ transport: "socket", type: "inet", host: "h" })],
  ["migrate", channels({ transport: "nonsense" })],
  ["migrate_cancel"],
  ["migrate-continue"],
  ["migrate-continue", { state: "nonsense" }],
  ["migrate-continue", { state: "pre-switchover" }],
  ["migrate-start-postcopy"],
  ["migrate-pause"],
  ["migrate-recover", { uri: "tcp:127.0.0.1:0" }],
  ["migrate-recover"],
  ["migrate-incoming", { uri: "tcp:127.0.0.1:0" }],
  ["migrate-set-capabilities"],
  ["migrate-set-capabilities", { capabilities: 5 }],
  ["migrate-set-capabilities", { capabilities: [5] }],
  ["migrate-set-capabilities", capabilities("nonsense")],
  ["migrate-set-capabilities", { capabilities: [{ capability: "xbzrle" }] }],
  ["migrate-set-capabilities", capabilities("xbzrle", "multifd")],
  ["migrate-set-capabilities", capabilities("postcopy-preempt")],
  ["migrate-set-capabilities", capabilities("multifd", "pause-before-switchover")],
  ["migrate", { uri: "exec:cat > /dev/null" }],
  ["query-migrate"],
  ["migrate-set-capabilities", { capabilities: [] }],
  ["migrate-set-parameters"],
  ["migrate-set-parameters", {}],
  ["migrate-set-parameters", { nonsense: 1 }],
  ["migrate-set-parameters", { "multifd-channels": 0 }],
  ["migrate-set-parameters", { "multifd-channels": "5" }],
  ["migrate-set-parameters", { "multifd-channels": 300 }],
  ["migrate-set-parameters", { "multifd-channels": 1.5 }],
  ["migrate-set-parameters", { "downtime-limit": 99999999 }],
  ["migrate-set-parameters", { "xbzrle-cache-size": 5000 }],
  ["migrate-set-parameters", { "max-cpu-throttle": 10, "cpu-throttle-initial": 20 }],
  ["migrate-set-parameters", { mode: "nonsense" }],
  ["migrate-set-parameters", { "direct-io": "x" }],
  ["migrate-set-parameters", { "tls-creds": 5 }],
  ["migrate-set-parameters", { "tls-hostname": null, "multifd-zlib-level": 9 }],
  ["migrate-set-parameters", { "block-bitmap-mapping": 5 }],
  ["migrate-set-parameters", { "block-bitmap-mapping": [] }],
  ["query-migrate-parameters"],
  ["announce-self"],
  ["announce-self", { initial: 50, max: 550, rounds: 5 }],
  ["announce-self", { initial: 50, max: 550, rounds: 5, step: 50, interfaces: [], id: "x" }],
  ["yank"],
  ["yank", { instances: [] }],
  ["yank", { instances: [{ type: "nonsense" }] }],
  ["yank", { instances: [{ type: "migration" }] }],
  ["yank", { instances: [{ type: "chardev", id: "nothing" }] }],
  ["nothing"],
];

/** What both answer alike where one is to arrive. */
const ARRIVING: readonly Step[] = [
  ["query-status"],
  ["query-migrate"],
  ["cont"],
  ["migrate", { uri: "tcp:127.0.0.1:1" }],
  ["migrate-incoming"],
  ["migrate-incoming", { uri: "nonsense" }],
  ["migrate-incoming", { uri: "tcp:127.0.0.1:0", "exit-on-error": 5 }],
  ["migrate-continue", { state: "pre-switchover" }],
  ["migrate-pause"],
  ["migrate-recover", { uri: "tcp:127.0.0.1:0" }],
  ["migrate-incoming", { uri: "tcp:127.0.0.1:0" }],
  ["query-migrate"],
  ["migrate-incoming", { uri: "tcp:127.0.0.1:0" }],
  ["migrate-set-capabilities", capabilities("events", "validate-uuid")],
  ["migrate-set-capabilities", capabilities("postcopy-ram")],
  ["migrate-set-capabilities", capabilities("postcopy-preempt")],
  ["migrate-set-capabilities", capabilities("x-ignore-shared")],
  ["migrate-set-capabilities", capabilities("zero-copy-send")],
  ["query-migrate-capabilities"],
  ["migrate_cancel"],
  ["query-migrate"],
  ["query-status"],
];

/** Runs the steps on both; Ferry's answers have all that QEMU's have. */
async function compare([qemu, ferry]: [Talk, Talk], steps: readonly Step[]): Promise<void> {
  for (const [name, args = {}] of steps) {
    const what = `${name} ${JSON.stringify(args)}`;
    const [expected, actual] = [await qemu.run(name, args), await ferry.run(name, args)];
    if ("error" in expected || "error" in actual) {
      assertEquals(kindOf(actual), kindOf(expected), `${what}: ${JSON.stringify(actual)}`);
    } else {
      assertHas(shapeOf(actual["return"]), shapeOf(expected["return"]), what);
    }
  }
}

qemuTest(
  "Ferry's QMP answers in QEMU's shapes where a machine runs",
  { needs: ["10.0"] },
  async (lab) => await compare(await bothTalks(lab, false), RUNNING),
);

qemuTest(
  "Ferry's QMP answers in QEMU's shapes where a machine is to arrive",
  { needs: ["10.0"] },
  async (lab) => await compare(await bothTalks(lab, true), ARRIVING),
);

/** Runs one session, from the settings to what both sides say at the end. */
async function session({ source, destination }: Ends, on: readonly string[]) {
  const set = { capabilities: ["events", "return-path", ...on].map(enabled) };
  await source.execute("migrate-set-capabilities", set);
  await destination.execute("migrate-set-capabilities", set);
  await destination.execute("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
  const waiting = await destination.execute("query-migrate") as JsonObject;
  const [address] = waiting["socket-address"] as JsonObject[];
  await source.execute("migrate", { uri: `tcp:${address!["host"]}:${address!["port"]}` });
  let paused: JsonValue = null;
  if (on.includes("pause-before-switchover")) {
    await source.events.waitForStatus("pre-switchover");
    paused = await source.execute("query-migrate");
    await source.execute("migrate-continue", { state: "pre-switchover" });
  }
  for (const end of [source, destination]) {
    await end.events.waitForStatus("completed").catch(async (error) => {
      error.message += `\n${JSON.stringify(await end.execute("query-migrate"))}`;
      throw error;
    });
  }
  const answers: JsonValue[] = [waiting, paused];
  for (const end of [source, destination]) {
    for (const query of ["query-migrate", "query-status", "query-migrationthreads"]) {
      answers.push(await end.execute(query));
    }
  }
  const events = [source, destination].map((end) =>
    // The rounds' number depends on how long they take.
    end.events.names.filter((name, i, all) => name !== "MIGRATION_PASS" || all[i - 1] === "setup")
  );
  return { answers, events };
}

for (const on of [[], ["pause-before-switchover"], ["multifd"]]) {
  qemuTest(
    `Two Ferrys say of a migration what two QEMUs say, with ${on[0] ?? "return-path alone"}`,
    { needs: ["10.0"] },
    async (lab) => {
      const qemu = await session(await qemuEnds(lab), on);
      const ferry = await session(await ferryEnds(lab), on);
      assertEquals(ferry.events, qemu.events);
      for (const [i, expected] of qemu.answers.entries()) {
        assertHas(shapeOf(ferry.answers[i]), shapeOf(expected), `answer ${i}`);
      }
    },
  );
}

const POSTCOPY = ["events", "postcopy-ram"];

/** Runs a session whose machine runs there early, with its connection given up in between. */
async function postcopySession({ source, destination }: Ends, recoverAt: string) {
  const both = (status: string) =>
    Promise.all([source, destination].map((end) => end.events.waitForStatus(status)));
  const answers: JsonValue[] = [];
  const look = async (...ends: QmpClient[]) => {
    for (const end of ends) {
      answers.push(await end.execute("query-migrate"), await end.execute("query-status"));
    }
  };
  const refused = async (end: QmpClient, command: string) => {
    answers.push(await end.execute(command).then(() => "taken", (error) => error.qmpClass));
  };
  const set = { capabilities: POSTCOPY.map(enabled) };
  for (const end of [source, destination]) await end.execute("migrate-set-capabilities", set);
  await refused(source, "migrate-start-postcopy");
  await source.execute("migrate-set-parameters", {
    "max-bandwidth": 4096,
    "max-postcopy-bandwidth": 4096,
  });
  await destination.execute("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
  const info = await destination.execute("query-migrate") as JsonObject;
  const [address] = info["socket-address"] as JsonObject[];
  await source.execute("migrate", { uri: `tcp:${address!["host"]}:${address!["port"]}` });
  await source.events.waitForStatus("active");
  await refused(source, "migrate-pause");
  await source.execute("migrate-start-postcopy");
  await both("postcopy-active");
  await refused(source, "migrate_cancel");
  await look(source, destination);
  await source.execute("migrate-pause");
  await both("postcopy-paused");
  // The destination may wait for a page with all that it is asked; only out of band it answers.
  await look(source);
  await refused(source, "migrate-pause");
  await refused(source, "cont");
  await destination.execute("migrate-recover", { uri: recoverAt }, "exec-oob");
  await source.execute("migrate", { uri: recoverAt, resume: true });
  await both("postcopy-active");
  await source.execute("migrate-set-parameters", { "max-postcopy-bandwidth": 0 });
  await both("completed");
  await look(source, destination);
  return { answers, events: [source, destination].map((end) => end.events.names) };
}

qemuTest(
  "Two Ferrys say of a postcopy that is paused what two QEMUs say",
  { needs: ["10.0"] },
  async (lab) => {
    const qemu = await postcopySession(await qemuEnds(lab), lab.unix("qemu"));
    const ferry = await postcopySession(await ferryEnds(lab), lab.unix("ferry"));
    // QEMU has this status from 10.2 on. The guest runs a moment before or after it says so.
    const order = (names: string[]) =>
      names.filter((name) => !["postcopy-device", "RESUME", "MIGRATION_PASS"].includes(name));
    assertEquals(ferry.events.map(order), qemu.events.map(order));
    for (const [i, expected] of qemu.answers.entries()) {
      assertHas(shapeOf(ferry.answers[i]), shapeOf(expected), `answer ${i}`);
    }
  },
);
