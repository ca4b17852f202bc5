import { assertEquals, assertThrows } from "@std/assert";
import { MigrationError } from "../../src/errors.ts";
import { array, nullable } from "../../src/vmstate/arrays.ts";
import { qtailq } from "../../src/vmstate/lists.ts";
import { uint16, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import { validate } from "../../src/vmstate/unbound.ts";
import type { FieldJson, VmsdJson } from "../../src/vmstate/vmsd_json.ts";
import { vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";
import { described, hex, saved } from "./hex.ts";

/** How a subsection stands in the stream: 05, counted name, version. */
function subsectionHeader(name: string, version: string): string {
  const bytes = new TextEncoder().encode(name);
  return "05" + bytes.length.toString(16).padStart(2, "0") + hex(bytes) + version;
}

interface Device {
  a: number;
  b: number;
  calls: string[];
}
const device = (): Device => ({ a: 1, b: 2, calls: [] });

const inner = vmstateOf<Device>("device/more/even", {
  version: 7,
  fields: { a: uint8() },
  preSave: (state) => void state.calls.push("inner preSave"),
  postSave: (state) => void state.calls.push("inner postSave"),
  needed(state) {
    state.calls.push("inner needed");
    return true;
  },
});
const more = vmstateOf<Device>("device/more", {
  version: 3,
  fields: { b: uint8() },
  subsections: [inner],
  needed(state) {
    state.calls.push("needed");
    return state.b > 0;
  },
  preSave: (state) => void state.calls.push("more preSave"),
  postSave: (state) => void state.calls.push("more postSave"),
});
const outer = vmstateOf<Device>("device", {
  fields: {
    a: uint8(),
    $seen: validate((state) => {
      state.calls.push("fields");
      return true;
    }),
  },
  subsections: [more],
  preSave: (state) => void state.calls.push("preSave"),
  postSave: (state) => void state.calls.push("postSave"),
});

Deno.test("saveState() calls needed, preSave, fields, subsections, postSave in QEMU's order", () => {
  const state = device();
  saved(outer, state);
  assertEquals(state.calls, [
    "preSave",
    "fields",
    "needed",
    "more preSave",
    "inner needed",
    "inner preSave",
    "inner postSave",
    "more postSave",
    "postSave",
  ]);
});

Deno.test("saveState() writes needed subsections after the fields, nested ones inside", () => {
  assertEquals(
    saved(outer, device()),
    "01" + subsectionHeader("device/more", "00000003") + "02" +
      subsectionHeader("device/more/even", "00000007") + "01",
  );
  assertEquals(described(outer, device()), {
    vmsd_name: "device",
    version: 1,
    fields: [{ name: "a", type: "uint8", size: 1 }],
    subsections: [{
      vmsd_name: "device/more",
      version: 3,
      fields: [{ name: "b", type: "uint8", size: 1 }],
      subsections: [{
        vmsd_name: "device/more/even",
        version: 7,
        fields: [{ name: "a", type: "uint8", size: 1 }],
      }],
    }],
  });
});

Deno.test("saveState() leaves out, and does not describe, a subsection that is not needed", () => {
  const state = { ...device(), b: 0 };
  assertEquals(saved(outer, state), "01");
  assertEquals("subsections" in described(outer, state), false);
});

Deno.test("saveState() writes the subsections of a struct in the middle of the fields around it", () => {
  const room = vmstate("room", { fields: { device: struct(outer), end: uint8() } });
  const bytes = saved(room, { device: device(), end: 0xee });
  assertEquals(bytes.startsWith("01" + subsectionHeader("device/more", "00000003")), true);
  assertEquals(bytes.endsWith("01" + "ee"), true);
});

Deno.test("saveState() calls postSave after a field failed, and the field's failure counts", () => {
  const calls: string[] = [];
  const broken = vmstate("broken", {
    fields: { a: uint8() },
    preSave: () => void calls.push("preSave"),
    postSave() {
      calls.push("postSave");
      throw new Error("and this, too");
    },
  });
  assertThrows(() => saved(broken, { a: 256 }), RangeError, "broken.a is 256");
  assertEquals(calls, ["preSave", "postSave"]);
});

Deno.test("saveState() does not call postSave if preSave failed", () => {
  const calls: string[] = [];
  const broken = vmstate("broken", {
    fields: { a: uint8() },
    preSave() {
      throw new Error("not now");
    },
    postSave: () => void calls.push("postSave"),
  });
  assertThrows(() => saved(broken, { a: 1 }), MigrationError, "broken: preSave failed: not now");
  assertEquals(calls, []);
});

Deno.test("saveState() fails if postSave does, and says in which state", () => {
  const broken = vmstate("broken", {
    fields: { a: uint8() },
    postSave() {
      throw new MigrationError("Already known", { advice: "Try again" });
    },
  });
  const room = vmstate("room", { fields: { all: array(struct(broken), 2) } });
  const error = assertThrows(() => saved(room, room.create()), MigrationError, "Already known");
  assertEquals((error as MigrationError).advice, "Try again", "a MigrationError stays what it is");
});

Deno.test("A field with exists is sent if that says so, whatever its since", () => {
  const description = vmstate("d", {
    version: 2,
    fields: {
      plain: uint8({ since: 2 }),
      asked: uint8({ since: 2, exists: (state: { plain: number }) => state.plain > 5 }),
    },
  });
  assertEquals(saved(description, { plain: 9, asked: 1 }), "0901");
  assertEquals(saved(description, { plain: 1, asked: 1 }), "01");
  assertEquals(described(description, { plain: 1, asked: 1 }).fields.length, 1);
});

const part = vmstate("part", { fields: { x: uint8() } });
const extra = vmstate("varied/extra", { fields: { e: uint8() }, needed: ({ e }) => e > 0 });
const varied = vmstate("varied", { fields: { x: uint8() }, subsections: [extra] });

/** The keys that say which elements of an array a field stands for, and its size. */
function shape(fields: FieldJson[]): string[] {
  return fields.map(({ name, array_len, index, type, size }) =>
    `${name} ${type} ${array_len ?? "-"} ${index ?? "-"} ${size}`
  );
}

Deno.test("The JSON lists each element where one may differ, the last without its index", () => {
  const box = vmstate("box", {
    fields: {
      varied: array(struct(varied), 3),
      asked: array(uint16({}), 2, { exists: () => true }),
    },
  });
  const state = box.create();
  state.varied[1]!.e = 5;
  assertEquals(shape(described(box, state).fields), [
    "varied struct - 0 1",
    `varied struct - 1 ${1 + 2 + "varied/extra".length + 4 + 1}`,
    "varied struct - - 1",
    "asked uint16 - 0 2",
    "asked uint16 - - 2",
  ]);
});

Deno.test("The JSON lists runs of what is there and what is null", () => {
  const box = vmstate("box", { fields: { slots: array(nullable(struct(part)), 7) } });
  const it = { x: 1 };
  const runs = (...slots: ({ x: number } | null)[]) => shape(described(box, { slots }).fields);
  // The first run, if it is of what is there, claims the whole array: so does QEMU's.
  assertEquals(runs(it, it, null, null, null, it, it), [
    "slots struct 7 - 1",
    "slots nullptr 3 - 1",
    "slots struct 2 - 1",
  ]);
  assertEquals(runs(null, null, it, null, it, it, it), [
    "slots nullptr 2 - 1",
    "slots struct - - 1",
    "slots nullptr - - 1",
    "slots struct 3 - 1",
  ]);
  assertEquals(runs(it, it, it, it, it, it, it), ["slots struct 7 - 1"]);
});

Deno.test("The JSON lists elements that may differ or be null one by one", () => {
  const box = vmstate("box", { fields: { slots: array(nullable(struct(varied)), 5) } });
  const it = { x: 1, e: 0 };
  assertEquals(shape(described(box, { slots: [it, it, null, null, it] }).fields), [
    "slots struct - 0 1",
    "slots struct - 1 1",
    // QEMU's stand-in for a null could be compressed, but the array it is in cannot.
    "slots nullptr 2 - 1",
    "slots nullptr 2 - 1",
    "slots struct - - 1",
  ]);
});

Deno.test("The JSON numbers fields of the same name", () => {
  const twice = vmstate("twice", {
    fields: {
      a: uint8({ name: "x" }),
      b: uint8(),
      c: array(nullable(struct(part)), 1, { name: "x" }),
    },
  });
  assertEquals(shape(described(twice, { a: 1, b: 2, c: [null] }).fields), [
    "x[0] uint8 - - 1",
    "b uint8 - - 1",
    "x[-1] nullptr - - 1",
  ]);
});

Deno.test("The JSON of several list elements is the last one's, subsections of any", () => {
  const box = vmstate("box", { fields: { all: qtailq(varied, { max: 3 }) } });
  const [field] = described(box, { all: [{ x: 1, e: 5 }, { x: 2, e: 0 }] }).fields;
  const json: VmsdJson = described(varied, { x: 1, e: 5 });
  assertEquals(field, { name: "all", type: "qtailq", ...json, size: 24 });
});

Deno.test("saveState() says in which of many values it failed", () => {
  const box = vmstate("box", {
    fields: { all: qtailq(varied, { max: 3 }), parts: array(struct(part), 2), n: uint32() },
  });
  const state = () => ({ ...box.create(), all: [{ x: 1, e: 0 }, { x: 2, e: 0 }] });
  const bad = state();
  bad.all[1]!.e = -1;
  bad.parts[1]!.x = 999;
  assertThrows(() => saved(box, bad), RangeError, "box.parts[1].x is 999");
  bad.all[1]!.e = 256;
  assertThrows(() => saved(box, bad), RangeError, "box.all[1]/extra.e is 256");
});
