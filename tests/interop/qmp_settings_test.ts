/**
 * Every capability alone and with every other, and every parameter at, within and beyond its range and of
 * other types: a real QEMU and Ferry take and refuse the same, and show the same afterwards.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { Talk } from "../qmp/fixtures/served.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../support/json.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { bothTalks } from "./qmp_compared.ts";

/** Why the two do not agree, where they do not: what is said in the README. */
const DIFFERENCES: readonly (readonly [(what: string) => boolean, string])[] = [
  [(what) => /rdma-pin-all|x-colo|zero-copy-send/.test(what), "has no effect here"],
  [(what) => /dirty-limit/.test(what) && !/vcpu/.test(what), "QEMU's needs KVM"],
  [(what) => what === "multifd+postcopy-ram", "QEMU's from 10.1 on"],
  [(what) => /^mode: "cpr-/.test(what), "RAM does not outlive its process here"],
  [(what) => /: -/.test(what), "a size below zero is not wrapped"],
  [(what) => /: (1000\.0|1e3)$/.test(what), "a number is whole, however it is written"],
  [
    (what) => /^xbzrle-cache-size: (9007199254740992|\d{19,})$/.test(what),
    "more than there can be",
  ],
];

/** Says the same to both. @returns Whether each took it. */
async function said(talks: readonly Talk[], command: string, args: string): Promise<boolean[]> {
  const taken: boolean[] = [];
  for (const talk of talks) {
    const answer = await talk.ask(`{"execute":"${command}","arguments":${args}}`);
    const { error } = answer;
    if (isJsonObject(error)) assertEquals(error["class"], "GenericError", args);
    taken.push("return" in answer);
  }
  return taken;
}

function assertAlike([qemu, ferry]: readonly unknown[], what: string): void {
  if (JSON.stringify(qemu) === JSON.stringify(ferry)) return;
  if (DIFFERENCES.some(([is]) => is(what))) return;
  assertEquals(ferry, qemu, what);
}

/** What each has now, member by member. */
async function shown(talks: readonly Talk[], query: string): Promise<JsonValue[]> {
  return await Promise.all(talks.map(async (talk) => (await talk.run(query))["return"]!));
}

qemuTest(
  "Each capability, alone and with each other, is taken by Ferry if QEMU takes it",
  { needs: ["10.0"] },
  async (lab) => {
    const talks = await bothTalks(lab, false);
    const [list] = await shown(talks, "query-migrate-capabilities");
    const names = (list as JsonObject[]).map((each) => String(each["capability"]));
    const set = (on: readonly string[], state = true) =>
      said(
        talks,
        "migrate-set-capabilities",
        JSON.stringify({ capabilities: on.map((capability) => ({ capability, state })) }),
      );
    assertEquals(await set(names, false), [true, true]);
    for (const [i, one] of names.entries()) {
      for (const other of names.slice(i)) {
        const what = [...new Set([one, other])].sort().join("+");
        assertAlike(await set([one, other]), what);
        assertAlike(await shown(talks, "query-migrate-capabilities"), what);
        assertEquals(await set(names, false), [true, true]);
      }
    }
  },
);

const PROBES: readonly string[] = [
  ...["-1", "0", "1", "2", "9", "10", "20", "21", "99", "100", "101", "255", "256", "1000", "1001"],
  ...["4095", "4096", "8192", "10000", "10001", "100000", "100001", "2000000", "2000001"],
  ...[32n, 40n, 53n, 62n, 63n, 64n].flatMap((bits) => [`${2n ** bits - 1n}`, `${2n ** bits}`]),
  ...["1e3", "1000.0", "1.5", '"1"', '"1M"', '""', "null", "true", "false", "[]", "{}"],
  ...["none", "zlib", "zstd", "legacy", "multifd", "normal", "cpr-reboot", "cpr-transfer"]
    .map((word) => `"${word}"`),
];

qemuTest(
  "Each parameter takes what QEMU's takes, and shows it",
  { needs: ["10.0"] },
  async (lab) => {
    const talks = await bothTalks(lab, false);
    const [defaults] = await shown(talks, "query-migrate-parameters") as JsonObject[];
    const show = async (name: string) =>
      (await shown(talks, "query-migrate-parameters") as JsonObject[]).map((all) => all[name]);
    for (const name of [...Object.keys(defaults!), "block-bitmap-mapping"]) {
      for (const probe of PROBES) {
        const what = `${name}: ${probe}`;
        const taken = await said(talks, "migrate-set-parameters", `{"${name}":${probe}}`);
        assertAlike(taken, what);
        if (taken[0] && taken[1]) assertAlike(await show(name), what);
        if (!(name in defaults!)) continue;
        const back = `{"${name}":${JSON.stringify(defaults![name])}}`;
        assertEquals(await said(talks, "migrate-set-parameters", back), [true, true], back);
      }
    }
    for (const args of ['{"nonsense":1}', '{"max-bandwidth":1,"nonsense":1}', "{}"]) {
      assertAlike(await said(talks, "migrate-set-parameters", args), args);
    }
  },
);
