/**
 * A real QEMU and Ferry's QMP server, to be told the same.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Served, Talk } from "../qmp/fixtures/served.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../support/json.ts";
import type { QemuLab } from "../support/qemu_lab.ts";
import { QmpClient } from "../support/qmp_client.ts";
import { connectTo } from "../support/sockets.ts";

/** One side of the comparison. */
export interface Side {
  readonly name: "QEMU" | "Ferry";
  /** A new connection, before the negotiation. */
  talk(): Promise<Talk>;
}

/** A machine that runs, or waits to arrive, on each of the two. */
export async function bothSides(lab: QemuLab, arrives: boolean): Promise<Side[]> {
  const path = lab.path(`qmp-${lab.resources.length}`);
  await lab.qemu("10.0", {
    args: ["-qmp", `unix:${path},server=on,wait=off`],
    ...arrives ? { incoming: "defer" } : { machine: "none" },
  });
  const served = lab.use(await Served.create({ arrives }));
  return [
    { name: "QEMU", talk: async () => lab.use(new Talk(await connectTo(`unix:${path}`))) },
    { name: "Ferry", talk: async () => lab.use(await served.talk()) },
  ];
}

/** Conversations with both, first QEMU's, in which commands may come. */
export async function bothTalks(lab: QemuLab, arrives: boolean): Promise<[Talk, Talk]> {
  const talks = (await bothSides(lab, arrives)).map(async (side) => {
    const talk = await side.talk();
    await talk.next();
    await talk.ask({ execute: "qmp_capabilities" });
    return talk;
  });
  return await Promise.all(talks) as [Talk, Talk];
}

/** Types in place of values; an array's elements are as its first. */
export function shapeOf(value: JsonValue | undefined): JsonValue {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (!isJsonObject(value)) return value === null ? "null" : typeof value;
  return Object.fromEntries(
    Object.keys(value).sort().map((key) => [key, shapeOf(value[key])]),
  );
}

/** Asserts that all of one shape is there; more may be. */
export function assertHas(actual: JsonValue, expected: JsonValue, what: string): void {
  if (!isJsonObject(expected) || !isJsonObject(actual)) return assertEquals(actual, expected, what);
  for (const [key, shape] of Object.entries(expected)) {
    assert(key in actual, `${what} lacks ${key}`);
    assertHas(actual[key]!, shape!, `${what}.${key}`);
  }
}

/** What an answer is, apart from its words: what was returned, or the error's class. */
export function kindOf(message: JsonObject): JsonValue {
  const id = "id" in message && { id: message["id"]! };
  if ("event" in message) return { event: message["event"]! };
  if (isJsonObject(message["error"])) return { error: message["error"]["class"]!, ...id };
  return "return" in message ? { return: "…", ...id } : shapeOf(message);
}

/** Both ends of a migration, and what was heard of it. */
export interface Ends {
  readonly source: QmpClient;
  readonly destination: QmpClient;
}

/** Two QEMUs. @param more More arguments. */
export async function qemuEnds(lab: QemuLab, more: readonly string[] = []): Promise<Ends> {
  const connect = async (name: string, incoming?: string) => {
    const path = lab.path(name);
    const args = ["-qmp", `unix:${path},server=on,wait=off`, ...more];
    await lab.qemu("10.0", { name, args, ...incoming && { incoming } });
    return lab.use(await QmpClient.connect(`unix:${path}`));
  };
  return { source: await connect("source"), destination: await connect("destination", "defer") };
}

/** Two machines behind QMP servers. */
export async function ferryEnds(lab: QemuLab): Promise<Ends> {
  const connect = async (arrives: boolean) => {
    const { server } = lab.use(await Served.create({ arrives }));
    return lab.use(await QmpClient.connect(server.uri));
  };
  return { source: await connect(false), destination: await connect(true) };
}

/** Turns a capability on, as an argument. */
export const enabled = (capability: string) => ({ capability, state: true });
