/**
 * The same commands in every state that a migration can be held in: a real QEMU and Ferry take and refuse
 * the same, and show the same.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { isJsonObject, type JsonObject, type JsonValue } from "../support/json.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import { QmpCommandError } from "../support/qmp_client.ts";
import { assertHas, enabled, type Ends, ferryEnds, qemuEnds, shapeOf } from "./qmp_compared.ts";

type Probe = readonly [string, JsonObject?];

/** Nothing that ends or changes a migration in the state in which it is asked. */
const PROBES: readonly Probe[] = [
  ["query-status"],
  ["query-migrate"],
  ["query-migrationthreads"],
  ["query-migrate-capabilities"],
  ["migrate-set-capabilities", { capabilities: [{ capability: "nonsense", state: true }] }],
  ["migrate-set-parameters", {}],
  ["migrate-set-parameters", { "downtime-limit": 300, "xbzrle-cache-size": 67108864 }],
  ["migrate-set-parameters", { "multifd-channels": 2, "multifd-compression": "none" }],
  ["migrate-set-parameters", { "tls-hostname": "x", "tls-authz": "", "tls-creds": null }],
  ["migrate-set-parameters", { "cpu-throttle-initial": 200 }],
  ["migrate", {}],
  ["migrate", { uri: "nonsense" }],
  ["migrate", { uri: "unix:/nowhere/at/all", resume: true }],
  ["migrate-continue", { state: "device" }],
  ["migrate-recover", { uri: "nonsense" }],
  ["migrate-start-postcopy"],
  ["yank", { instances: [] }],
  ["yank", { instances: [{ type: "block-node", "node-name": "x" }] }],
  ["calc-dirty-rate", { "calc-time": 0 }],
  ["query-dirty-rate"],
  ["query-vcpu-dirty-limit"],
  ["cancel-vcpu-dirty-limit"],
  ["migrate-pause"],
];
/** What another state allows; to be asked only where it is refused. */
const BEGINNINGS: readonly Probe[] = [
  ["migrate", { uri: "unix:/nowhere/at/all" }],
  ["migrate-set-capabilities", { capabilities: [] }],
];
const INCOMING: readonly Probe[] = [
  ["migrate-incoming", {}],
  ["migrate-incoming", { uri: "nonsense" }],
  ["migrate-incoming", { uri: "tcp:127.0.0.1:0" }],
];

/** One side of both, QEMU's and Ferry's. */
type Pair = readonly [Ends[keyof Ends], Ends[keyof Ends]];

async function answer(end: Pair[number], [command, args = {}]: Probe): Promise<JsonValue> {
  try {
    return { return: await end.execute(command, args) };
  } catch (error) {
    if (!(error instanceof QmpCommandError)) throw error;
    return { error: error.qmpClass };
  }
}

/** Asks both sides the same. */
async function assertAlike([qemu, ferry]: Pair, probes: readonly Probe[], state: string) {
  for (const probe of probes) {
    const what = `${state}: ${JSON.stringify(probe)}`;
    const [expected, actual] = [await answer(qemu, probe), await answer(ferry, probe)];
    if (statusOf(expected) === "cancelled") forgetError(expected);
    assertHas(shapeOf(actual), shapeOf(expected), what);
    if (probe[0] === "query-status") assertEquals(actual, expected, what);
    if (probe[0] === "query-migrate") assertEquals(statusOf(actual), statusOf(expected), what);
    if (isJsonObject(expected) && "error" in expected) assertEquals(actual, expected, what);
  }
}

/** QEMU may have one of the connection that it broke itself, or not. */
function forgetError(answer: JsonValue): void {
  if (isJsonObject(answer) && isJsonObject(answer["return"])) delete answer["return"]["error-desc"];
}

function statusOf(answer: JsonValue): JsonValue {
  const info = isJsonObject(answer) ? answer["return"] : null;
  return isJsonObject(info) ? info["status"] ?? null : null;
}

/** Both with the same settings; what they send is slow. */
async function both(lab: QemuLab, on: readonly string[] = []): Promise<[Ends, Ends]> {
  // So much that is not zero that it is not sent before a test is over.
  const content = lab.path("content");
  const bytes = new Uint8Array(2 ** 22);
  for (let at = 0; at < bytes.length; at += 65536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65536));
  }
  await Deno.writeFile(content, bytes);
  const args = ["-device", `loader,file=${content},addr=0x800000,force-raw=on`];
  const ends: [Ends, Ends] = [await qemuEnds(lab, args), await ferryEnds(lab)];
  const capabilities = ["events", "return-path", ...on].map(enabled);
  for (const { source, destination } of ends) {
    for (const end of [source, destination]) {
      await end.execute("migrate-set-capabilities", { capabilities });
    }
    const bandwidths = { "max-bandwidth": 4096, "max-postcopy-bandwidth": 4096 };
    await source.execute("migrate-set-parameters", bandwidths);
  }
  return ends;
}

async function listen({ destination }: Ends): Promise<string> {
  const at = { uri: "tcp:127.0.0.1:0", "exit-on-error": false };
  await destination.execute("migrate-incoming", at);
  const info = await destination.execute("query-migrate") as JsonObject;
  const [address] = info["socket-address"] as JsonObject[];
  return `tcp:${address!["host"]}:${address!["port"]}`;
}

const ofBoth = (ends: readonly [Ends, Ends], side: keyof Ends): Pair => [
  ends[0][side],
  ends[1][side],
];

qemuTest(
  "Ferry answers as QEMU before a migration, in it, and when it is cancelled, failed or completed",
  { needs: ["10.0"] },
  async (lab) => {
    const ends = await both(lab);
    const [sources, destinations] = [ofBoth(ends, "source"), ofBoth(ends, "destination")];
    await assertAlike(sources, [...PROBES, ...INCOMING], "source, none");
    await assertAlike(destinations, [...PROBES, ...INCOMING.slice(0, 2)], "destination, none");
    const uris: string[] = [];
    for (const each of ends) uris.push(await listen(each));
    await assertAlike(destinations, [...PROBES, ...INCOMING], "destination, setup");
    for (const [i, { source, destination }] of ends.entries()) {
      await source.execute("migrate", { uri: uris[i]! });
      await source.events.waitForStatus("active");
      await destination.events.waitForStatus("active");
    }
    await assertAlike(sources, [...PROBES, ...BEGINNINGS, ...INCOMING], "source, active");
    await assertAlike(destinations, [...PROBES, ...INCOMING], "destination, active");
    for (const { source, destination } of ends) {
      await destination.execute("migrate_cancel"); // which is nothing of that side's
      await source.execute("migrate_cancel");
      await source.events.waitForStatus("cancelled");
      await destination.events.waitForStatus("failed");
    }
    await assertAlike(sources, [...PROBES, ...INCOMING], "source, cancelled");
    await assertAlike(destinations, PROBES, "destination, failed");
    for (const { source } of ends) {
      await source.execute("migrate", { uri: "unix:/nowhere/at/all" });
      await source.events.waitForStatus("failed");
    }
    await assertAlike(sources, PROBES, "source, failed");
    await assertAlike(sources, [["stop"], ["query-status"], ["cont"], ["query-status"]], "running");
  },
);

qemuTest(
  "Ferry answers as QEMU before a switchover, and when the machine is gone and there",
  { needs: ["10.0"] },
  async (lab) => {
    const ends = await both(lab, ["pause-before-switchover"]);
    const [sources, destinations] = [ofBoth(ends, "source"), ofBoth(ends, "destination")];
    for (const each of ends) {
      await each.source.execute("migrate-set-parameters", { "max-bandwidth": 0 });
      await each.source.execute("migrate", { uri: await listen(each) });
      await each.source.events.waitForStatus("pre-switchover");
    }
    const here: Probe[] = [["cont"], ["stop"], ["query-status"]];
    await assertAlike(sources, [...PROBES, ...BEGINNINGS, ...here], "source, pre-switchover");
    await assertAlike(destinations, [...PROBES, ["stop"], ["query-status"]], "destination, active");
    for (const { source, destination } of ends) {
      await source.execute("migrate-continue", { state: "pre-switchover" });
      for (const end of [source, destination]) await end.events.waitForStatus("completed");
    }
    const gone: Probe[] = [["migrate", { uri: "unix:/nowhere/at/all" }], ["migrate_cancel"]];
    await assertAlike(sources, [...PROBES, ...gone, ...here.slice(1)], "source, completed");
    // It was stopped before it was there.
    await assertAlike(destinations, [["query-status"], ["cont"], ["query-status"]], "arrived");
    await assertAlike(destinations, [...PROBES, ...INCOMING], "destination, completed");
    await assertAlike(sources, [["cont"], ["query-status"]], "source, kept");
  },
);

qemuTest("Ferry answers as QEMU in postcopy, and while it is paused", {
  needs: ["10.0"],
}, async (lab) => {
  const ends = await both(lab, ["postcopy-ram"]);
  const sources = ofBoth(ends, "source");
  for (const each of ends) {
    await each.source.execute("migrate", { uri: await listen(each) });
    await each.source.events.waitForStatus("active");
    await each.source.execute("migrate-start-postcopy");
    await each.source.events.waitForStatus("postcopy-active");
    await each.destination.events.waitForStatus("postcopy-active");
  }
  const running: Probe[] = [...BEGINNINGS, ["migrate_cancel"], ["cont"], ["query-status"]];
  const unpaused = PROBES.filter(([name]) => name !== "migrate-pause");
  await assertAlike(sources, [...unpaused, ...running], "source, postcopy-active");
  for (const { source } of ends) {
    await source.execute("migrate-pause");
    await source.events.waitForStatus("postcopy-paused");
  }
  const others = PROBES.filter(([, args]) => args?.["resume"] === undefined);
  await assertAlike(sources, [...others, ...running], "source, postcopy-paused");
});
