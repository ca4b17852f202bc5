import { assertEquals } from "@std/assert";
import { array } from "../../src/vmstate/arrays.ts";
import { buffer, unused } from "../../src/vmstate/buffers.ts";
import { checkDump, compareDescriptions, compareDumps } from "../../src/vmstate/compare.ts";
import { dumpMachine, parseDump } from "../../src/vmstate/dump.ts";
import type { Finding } from "../../src/vmstate/finding.ts";
import { float64, uint16, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import { vmstate, type VMStateFor } from "../../src/vmstate/vmstate.ts";
import { goldenDump } from "./golden.ts";

/** What breaks, as `kind of the finding: field`. */
function breaks(findings: readonly Finding[]): string[] {
  return findings.filter((finding) => finding.breaks).map(({ kind, field, source }) =>
    `${kind}: ${field ?? source}`
  );
}

function compared(first: VMStateFor<never>, second: VMStateFor<never>) {
  const { forward, backward } = compareDescriptions(first, second);
  return { forward: breaks(forward), backward: breaks(backward) };
}

const GOOD = { forward: [], backward: [] };

Deno.test("compareDumps() comes to the verdicts of QEMU's script about two QEMUs", async () => {
  const file = new URL("../golden/vmstate/verdicts.json", import.meta.url);
  const verdicts = JSON.parse(await Deno.readTextFile(file));
  const comparison = compareDumps(
    parseDump(await goldenDump("7.2.22")),
    parseDump(await goldenDump("10.0.2")),
  );
  for (const direction of ["forward", "backward"] as const) {
    const found = comparison[direction].filter((finding) => finding.breaks)
      .map(({ section, kind }) => [section, kind]);
    assertEquals(found, verdicts[direction], direction);
  }
});

Deno.test("checkDump() finds nothing between a QEMU and itself", async () => {
  const dump = parseDump(await goldenDump("10.0.2"));
  assertEquals(checkDump(dump, dump, { strict: true }), []);
});

const before = vmstate("room", { fields: { a: uint32(), b: uint32() } });

Deno.test("compareDescriptions() finds nothing between a description and itself", () => {
  assertEquals(compared(before, before), GOOD);
});

Deno.test("A new field at the end with a new version breaks the way back only", () => {
  const after = vmstate("room", {
    version: 2,
    fields: { a: uint32(), b: uint32(), c: uint32({ since: 2 }) },
  });
  assertEquals(compared(before, after), {
    forward: [],
    backward: ["version too new: 2", "field missing: c"],
  });
});

Deno.test("A new field without a new version breaks both ways", () => {
  const after = vmstate("room", { fields: { a: uint32(), b: uint32(), c: uint32() } });
  assertEquals(compared(before, after), {
    forward: ["field added: c"],
    backward: ["field missing: c"],
  });
  // QEMU's script does not see the first.
  const dumps = [before, after].map((room) => dumpMachine("m", { room }));
  assertEquals(breaks(checkDump(dumps[0]!, dumps[1]!)), []);
  const [note] = checkDump(dumps[0]!, dumps[1]!);
  assertEquals([note?.kind, note?.breaks], ["field added", false]);
  assertEquals(breaks(checkDump(dumps[0]!, dumps[1]!, { strict: true })), ["field added: c"]);
});

Deno.test("A field with a predicate may come and go", () => {
  const after = vmstate("room", {
    fields: { a: uint32(), b: uint32(), c: uint32({ exists: () => false }) },
  });
  assertEquals(compared(before, after).forward, []);
});

Deno.test("A field that is read later than it was sent breaks", () => {
  const after = vmstate("room", { version: 2, fields: { a: uint32(), b: uint32({ since: 2 }) } });
  assertEquals(compared(before, after).forward, ["field skipped: b"]);
});

Deno.test("A raised minimum version breaks the way there", () => {
  const after = vmstate("room", {
    version: 2,
    minimumVersion: 2,
    fields: { a: uint32(), b: uint32() },
  });
  assertEquals(compared(before, after), {
    forward: ["version too old: 1"],
    backward: ["version too new: 2"],
  });
});

Deno.test("Another name, size or length breaks", () => {
  const renamed = vmstate("room", { fields: { a: uint32(), z: uint32() } });
  assertEquals(compared(before, renamed), {
    forward: ["field differs: b"],
    backward: ["field differs: z"],
  });
  const resized = vmstate("room", { fields: { a: uint32(), b: uint16() } });
  assertEquals(compared(before, resized).forward, ["size differs: b"]);
  const short = vmstate("list", { fields: { all: array(uint32(), 3) } });
  const long = vmstate("list", { fields: { all: array(uint32(), 4) } });
  assertEquals(compared(short, long).forward, ["length differs: all"]);
});

Deno.test("Fields that became unused space of their size do not break", () => {
  const fields = { a: uint32(), $b: unused(4) };
  assertEquals(compared(before, vmstate("room", { fields })), GOOD);
  assertEquals(compared(before, vmstate("room", { fields: { $all: unused(8) } })), GOOD);
  const arrays = vmstate("room", { fields: { x: array(uint16(), 3), y: uint16(), z: uint8() } });
  const holes = vmstate("room", { fields: { $1: unused(8), z: uint8() } });
  assertEquals(compared(arrays, holes), GOOD);
  const turned = vmstate("room", { fields: { y: uint16(), x: array(uint16(), 3), z: uint8() } });
  assertEquals(compared(turned, holes), GOOD);
});

Deno.test("Unused space of another size breaks", () => {
  for (const size of [3, 5, 6, 12]) {
    const { forward, backward } = compared(
      before,
      vmstate("room", { fields: { a: uint32(), $b: unused(size) } }),
    );
    assertEquals([forward, backward].map((found) => found[0]?.split(":")[0]), [
      "unused space differs",
      "unused space differs",
    ], `${size}`);
  }
});

Deno.test("Fields that moved into a nested description, or out of it, do not break", () => {
  const flat = vmstate("room", { fields: { id: uint8(), x: float64(), y: float64(), z: uint8() } });
  const point = vmstate("point", { fields: { x: float64(), y: float64() } });
  const nested = vmstate("room", { fields: { id: uint8(), at: struct(point), z: uint8() } });
  assertEquals(compared(flat, nested), GOOD);
  const other = vmstate("point", { fields: { x: float64(), z: float64() } });
  assertEquals(
    compared(flat, vmstate("room", { fields: { id: uint8(), at: struct(other), z: uint8() } })),
    { forward: ["field differs: y"], backward: ["field differs: z"] },
  );
});

Deno.test("Nested descriptions are compared", () => {
  const point = (version: number, size: number) =>
    vmstate("point", { version, fields: { x: buffer(size) } });
  const room = (version: number, size: number) =>
    vmstate("room", { fields: { at: struct(point(version, size)) } });
  assertEquals(compared(room(1, 4), room(2, 5)), {
    forward: ["size differs: x"],
    backward: ["version too new: 2", "size differs: x"],
  });
  const spot = vmstate("room", { fields: { at: struct(vmstate("spot", { fields: {} })) } });
  assertEquals(compared(room(1, 4), spot).forward, ["description differs: point"]);
  const plain = vmstate("room", { fields: { at: buffer(4) } });
  assertEquals(compared(room(1, 4), plain).forward, ["description missing: at"]);
});

Deno.test("A subsection that only the destination has does not break, the other way it does", () => {
  const one = vmstate("room/one", { fields: { c: uint32() } });
  const two = vmstate("room/two", { fields: { d: uint32() } });
  const with1 = vmstate("room", { fields: { a: uint32(), b: uint32() }, subsections: [one] });
  const with2 = vmstate("room", { fields: { a: uint32(), b: uint32() }, subsections: [one, two] });
  assertEquals(compared(before, with1), {
    forward: [],
    backward: ["entry missing: Subsections"],
  });
  assertEquals(compared(with1, with2), {
    forward: [],
    backward: ["subsection missing: room/two"],
  });
});

Deno.test("checkDump() knows sections and fields that QEMU renamed", () => {
  const old = vmstate("e1000", { fields: { dev: uint8(), mac: buffer(6) } });
  const now = vmstate("e1000", { fields: { parent_obj: uint8(), mac: buffer(6) } });
  const from = dumpMachine("m", { "e1000-82540em": old, "gone": old });
  const to = dumpMachine("n", { "e1000": now });
  assertEquals(breaks(checkDump(from, to)), ["section missing: undefined"]);
  assertEquals(breaks(checkDump(to, from)), []);
  assertEquals(checkDump(to, from)[0], {
    kind: "machine differs",
    breaks: false,
    section: "machine",
    source: "n",
    destination: "m",
  });
});

Deno.test("checkDump() compares what a file leaves out", () => {
  const dump = (device: object) =>
    parseDump(
      JSON.stringify({ d: { Name: "d", version_id: 1, minimum_version_id: 1, ...device } }),
    );
  const description = { name: "d", version_id: 1, minimum_version_id: 1 };
  const bare = dump({});
  const empty = dump({ Description: description });
  const full = dump({ Description: { ...description, Fields: [] } });
  assertEquals(breaks(checkDump(empty, bare)), ["entry missing: Description"]);
  assertEquals(breaks(checkDump(full, empty)), ["entry missing: Fields"]);
  assertEquals(breaks(checkDump(bare, full)), []);
  const newer = dump({ version_id: 2 });
  assertEquals(breaks(checkDump(newer, bare)), ["version too new: 2"]);
});
