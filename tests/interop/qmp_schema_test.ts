/**
 * What Ferry's QMP knows is of QEMU's: commands, capabilities, parameters, and the types of all of them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ShellCompletion } from "../../src/cli/shell_completion.ts";
import { ShellSchema } from "../../src/cli/shell_schema.ts";
import { readJson } from "../../src/qmp/json.ts";
import type { JsonObject } from "../support/json.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { bothTalks } from "./qmp_compared.ts";

qemuTest(
  "Every command, capability and parameter of Ferry's QMP is one of QEMU's",
  { needs: ["10.0"] },
  async (lab) => {
    const talks = await bothTalks(lab, false);
    const [qemu, ferry] = await Promise.all(talks.map(async (talk) => {
      const list = async (command: string) => (await talk.run(command))["return"] as JsonObject[];
      return {
        commands: (await list("query-commands")).map(({ name }) => String(name)),
        capabilities: (await list("query-migrate-capabilities")).map((each) => each["capability"]),
        parameters: Object.keys(await list("query-migrate-parameters")).sort(),
      };
    }));
    const known = new Set(qemu!.commands);
    assertEquals(ferry!.commands.filter((name) => !known.has(name)), []);
    assertEquals(ferry!.capabilities, qemu!.capabilities);
    assertEquals(ferry!.parameters, qemu!.parameters);
  },
);

function completionOf(schema: Schema): ShellCompletion {
  return new ShellCompletion(new ShellSchema([], readJson(JSON.stringify([...schema.values()]))));
}

type Schema = Map<string, JsonObject>;

/** Words of other QEMUs: of a later release, or built for other hardware. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  "migrate-continue.state": ["postcopy-device"],
  "MIGRATION.status": ["postcopy-device"],
  "migrate-set-parameters.multifd-compression": ["qatzip", "qpl", "uadk"],
  "query-migrate-parameters.multifd-compression": ["qatzip", "qpl", "uadk"],
  "query-migrate.status": ["postcopy-device"],
  "query-cpus-fast[].target": ["wasm32"],
};

/** What Ferry says beside what QEMU 10.0 says; the latencies are QEMU's from 10.1 on. */
const OURS: readonly string[] = [
  ...["latency", "vcpu-latency", "non-vcpu-latency", "latency-dist", "latency-p50", "latency-p99"]
    .map((name) => `query-migrate.postcopy-${name}`),
  ...["postcopy-faults", "multifd-channels", "dirty-log"].map((name) => `query-migrate.${name}`),
];

/** Asserts that what Ferry takes is of QEMU's type: the same members, words that QEMU has, too. */
function assertTakes(ferry: Schema, qemu: Schema, names: readonly [string, string], at: string) {
  const [ours, theirs] = [ferry.get(names[0])!, qemu.get(names[1])!];
  const members = (type: JsonObject) => (type["members"] ?? []) as JsonObject[];
  const optional = ({ name, ...rest }: JsonObject) => `${name}${"default" in rest ? "?" : ""}`;
  if (ours["json-type"] === "value") return; // checked by who uses it
  assertEquals(ours["meta-type"], theirs["meta-type"], at);
  assertEquals(ours["json-type"], theirs["json-type"], at);
  switch (ours["meta-type"]) {
    case "object": {
      const known = new Map(members(theirs).map((each) => [each["name"], each]));
      const inner = new Map(variantsOf(qemu, theirs).map((each) => [each["name"], each]));
      for (const each of members(ours)) {
        const name = String(each["name"]);
        const other = known.get(name) ?? inner.get(name);
        assert(other, `QEMU's ${at} has no ${name}`);
        if (known.has(name)) assertEquals(optional(each), optional(other), at);
        assertTakes(ferry, qemu, [String(each["type"]), String(other["type"])], `${at}.${name}`);
      }
      const taken = new Set(members(ours).map((each) => each["name"]));
      assertEquals([...known.keys()].filter((name) => !taken.has(name)), [], at);
      return;
    }
    case "array":
      return assertTakes(
        ferry,
        qemu,
        [String(ours["element-type"]), String(theirs["element-type"])],
        at,
      );
    case "enum": {
      const words = new Set([...theirs["values"] as string[], ...ELSEWHERE[at] ?? []]);
      return assertEquals((ours["values"] as string[]).filter((each) => !words.has(each)), [], at);
    }
  }
}

/** The members that an object has only with some values of another one, at any depth. */
function variantsOf(qemu: Schema, type: JsonObject): JsonObject[] {
  return ((type["variants"] ?? []) as JsonObject[]).flatMap((each) => {
    const variant = qemu.get(String(each["type"]))!;
    return [...(variant["members"] ?? []) as JsonObject[], ...variantsOf(qemu, variant)];
  });
}

/** Asserts that what Ferry answers is of QEMU's type: nothing that must be there is missing. */
function assertGives(ferry: Schema, qemu: Schema, names: readonly [string, string], at: string) {
  const [ours, theirs] = [ferry.get(names[0])!, qemu.get(names[1])!];
  if (ours["json-type"] === "value") return;
  assertEquals(ours["meta-type"], theirs["meta-type"], at);
  assertEquals(ours["json-type"], theirs["json-type"], at);
  const both = (member: string): [string, string] => [String(ours[member]), String(theirs[member])];
  if (ours["meta-type"] === "array") {
    assertGives(ferry, qemu, both("element-type"), `${at}[]`);
  } else if (ours["meta-type"] === "enum") {
    const words = new Set([...theirs["values"] as string[], ...ELSEWHERE[at] ?? []]);
    assertEquals((ours["values"] as string[]).filter((each) => !words.has(each)), [], at);
  } else if (ours["meta-type"] === "object") {
    const given = new Map((ours["members"] as JsonObject[]).map((each) => [each["name"], each]));
    const always = theirs["members"] as JsonObject[];
    for (const { name, ...rest } of always) {
      if ("default" in rest) continue;
      assert(given.has(name) && !("default" in given.get(name)!), `${at} may lack ${name}`);
    }
    const known = new Map(
      [...always, ...variantsOf(qemu, theirs)].map((each) => [each["name"], each]),
    );
    for (const [name, { type }] of given) {
      const path = `${at}.${name}`;
      const other = known.get(name);
      assert(other || OURS.includes(path), `QEMU's ${at} has no ${name}`);
      if (other) assertGives(ferry, qemu, [String(type), String(other["type"])], path);
    }
  }
}

qemuTest(
  "Every argument and answer of Ferry's commands, and each event's data, has the type that QEMU's schema says",
  { needs: ["10.0"] },
  async (lab) => {
    const talks = await bothTalks(lab, false);
    const [qemu, ferry] = await Promise.all(talks.map(async (talk) => {
      const schema = (await talk.run("query-qmp-schema"))["return"] as JsonObject[];
      return new Map(schema.map((each) => [String(each["name"]), each]));
    }));
    for (const [name, { "meta-type": kind, "arg-type": args }] of ferry!) {
      if (args === undefined) continue;
      const other = qemu!.get(name)!;
      assertEquals(kind, other["meta-type"], name);
      assertTakes(ferry!, qemu!, [String(args), String(other["arg-type"])], name);
      assertEquals(ferry!.get(name)!["allow-oob"], other["allow-oob"], name);
      const answers = [ferry!.get(name)!, other].map((each) => String(each["ret-type"]));
      if (kind === "command") assertGives(ferry!, qemu!, answers as [string, string], name);
    }
    // The shell reads QEMU's as it reads Ferry's.
    const shell = completionOf(qemu!);
    assertEquals(shell.complete("migrate-set-parameters multifd-compression=zl")[0], [
      "multifd-compression=zlib ",
    ]);
    const own = completionOf(ferry!);
    for (const each of [shell, own]) {
      assertEquals(each.complete('migrate channels=[{"addr":{"transp')[0], ['transport"']);
      assertEquals(each.complete('migrate channels=[{"addr":{"transport":"so')[0], ['socket"']);
      assertEquals(each.complete('migrate channels=[{"addr": {"filen')[0], ['filename"']);
      assertEquals(each.complete("migrate channels.0.addr.fil")[0], ["channels.0.addr.filename="]);
    }
  },
);
