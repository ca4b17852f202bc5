import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  IncompatibleError,
  MigrationError,
  StreamFormatError,
} from "../../src/errors.ts";
import { array, varray } from "../../src/vmstate/arrays.ts";
import { qtailq } from "../../src/vmstate/lists.ts";
import { loadState } from "../../src/vmstate/load_state.ts";
import { uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import { validate } from "../../src/vmstate/unbound.ts";
import { vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { fromHex, hex, load } from "./hex.ts";

/** How a subsection stands in the stream: 05, counted name, version. */
function subsection(name: string, version: string, fields: string): string {
  const bytes = new TextEncoder().encode(name);
  return "05" + bytes.length.toString(16).padStart(2, "0") + hex(bytes) + version + fields;
}

interface Device {
  a: number;
  b: number;
  c: number;
  calls: string[];
}
const device = (): Device => ({ a: 0, b: 0, c: 0, calls: [] });

const even = vmstateOf<Device>("device/more/even", {
  version: 2,
  minimumVersion: 1,
  fields: { c: uint8() },
  postLoad: (state, version) => void state.calls.push(`even postLoad ${version}`),
});
const more = vmstateOf<Device>("device/more", {
  fields: { b: uint8() },
  subsections: [even],
  preLoad: (state) => void state.calls.push("more preLoad"),
  postLoad: (state, version) => void state.calls.push(`more postLoad ${version}`),
});
const outer = vmstateOf<Device>("device", {
  version: 3,
  minimumVersion: 2,
  fields: {
    a: uint8(),
    $seen: validate((state) => {
      state.calls.push("fields");
      return true;
    }),
  },
  subsections: [more],
  async preLoad(state) {
    await Promise.resolve();
    state.calls.push("preLoad");
  },
  async postLoad(state, version) {
    await Promise.resolve();
    state.calls.push(`postLoad ${version}`);
  },
});

Deno.test("loadState() calls preLoad, fields, subsections, postLoad in QEMU's order", async () => {
  const bytes = "01" +
    subsection("device/more", "00000001", "02" + subsection("device/more/even", "00000002", "03"));
  const state = await load(outer, bytes, device());
  assertEquals([state.a, state.b, state.c], [1, 2, 3]);
  assertEquals(state.calls, [
    "preLoad",
    "fields",
    "more preLoad",
    "even postLoad 2",
    "more postLoad 1",
    "postLoad 3",
  ]);
});

Deno.test("loadState() does not call the hooks of a subsection that is not there", async () => {
  const state = await load(outer, "01", device(), 2);
  assertEquals(state.calls, ["preLoad", "fields", "postLoad 2"]);
});

Deno.test("loadState() refuses versions that are not known, before any hook", async () => {
  const state = device();
  const newer = await assertRejects(
    () => load(outer, "01", state, 4),
    IncompatibleError,
    "device has version 4; 3 is the newest known here (at offset 0x0)",
  );
  assertInstanceOf(newer, IncompatibleError);
  assertEquals(newer.advice?.startsWith("Migrate to a program"), true);
  await assertRejects(
    () => load(outer, "01", state, 1),
    IncompatibleError,
    "device has version 1; 2 is the oldest that can be loaded",
  );
  assertEquals(state.calls, []);
});

Deno.test("loadState() refuses a subsection's version that is not known", async () => {
  const bytes = (version: string) =>
    "01" +
    subsection("device/more", "00000001", "02" + subsection("device/more/even", version, "03"));
  await assertRejects(
    () => load(outer, bytes("00000003"), device()),
    IncompatibleError,
    "device/more/even has version 3; 2 is the newest",
  );
  // Version 257 is version 1 to a QEMU, which keeps one byte of it.
  await assertRejects(() => load(outer, bytes("00000101"), device()), IncompatibleError);
  await load(outer, bytes("00000001"), device());
});

Deno.test("loadState() takes subsections in any order and number", async () => {
  const one = vmstateOf<Device>("device/one", { fields: { a: uint8() } });
  const two = vmstateOf<Device>("device/two", { fields: { b: uint8() } });
  const both = vmstateOf<Device>("device", { fields: {}, subsections: [one, two] });
  const bytes = subsection("device/two", "00000001", "02") +
    subsection("device/one", "00000001", "01") + subsection("device/two", "00000001", "03");
  const state = await load(both, bytes, device());
  assertEquals([state.a, state.b], [1, 3]);
});

Deno.test("loadState() refuses a subsection of its own that it does not know", async () => {
  for (const name of ["device/other", "device/mor", "devices"]) {
    await assertRejects(
      () => load(outer, "01" + subsection(name, "00000001", "02"), device()),
      IncompatibleError,
      `device has a subsection "${name}", which is unknown here (at offset 0x1)`,
    );
  }
});

Deno.test("loadState() leaves alone what is no subsection of its own", async () => {
  for (
    const rest of [
      subsection("machine/x", "00000001", "02"),
      subsection("device", "00000001", "02"),
      "0500",
      "05ff6465",
      "05",
      "7e00000001",
    ]
  ) {
    const reader = ByteReader.of(fromHex("01" + rest));
    await loadState(reader, outer, device(), 3);
    assertEquals(reader.position, 1, rest);
  }
});

Deno.test("loadState() gives a struct the subsections of its name, and the others to what is around", async () => {
  interface Wheel {
    x: number;
    y: number;
  }
  const rim = vmstateOf<Wheel>("wheel/rim", { fields: { y: uint8() } });
  const wheel = vmstateOf<Wheel>("wheel", { fields: { x: uint8() }, subsections: [rim] });
  const radio = vmstateOf<Car>("car/radio", { fields: { on: uint8() } });
  interface Car {
    left: Wheel;
    right: Wheel;
    on: number;
  }
  const car = vmstateOf<Car>("car", {
    fields: { left: struct(wheel), right: struct(wheel) },
    subsections: [radio],
  });
  const state = await load(
    car,
    "01" + subsection("wheel/rim", "00000001", "02") + "03" +
      subsection("car/radio", "00000001", "04"),
    { left: { x: 0, y: 0 }, right: { x: 0, y: 9 }, on: 0 },
  );
  assertEquals(state, { left: { x: 1, y: 2 }, right: { x: 3, y: 9 }, on: 4 });
});

Deno.test("loadState() reads a field since the version that has it", async () => {
  const description = vmstate("d", {
    version: 3,
    fields: {
      a: uint8(),
      b: uint8({ since: 2 }),
      c: uint8({ since: 3, exists: (_, version) => version === 1 }),
    },
  });
  const blank = { a: 0, b: 0, c: 0 };
  assertEquals(await load(description, "0102", { ...blank }, 1), { a: 1, b: 0, c: 2 });
  assertEquals(await load(description, "0102", { ...blank }, 2), { a: 1, b: 2, c: 0 });
  assertEquals(await load(description, "0102", { ...blank }, 3), { a: 1, b: 2, c: 0 });
});

Deno.test("A predicate sees what was loaded until then", async () => {
  const description = vmstate("d", {
    fields: { kind: uint8(), extra: uint8({ exists: (d: { kind: number }) => d.kind === 7 }) },
  });
  assertEquals(await load(description, "0709", { kind: 0, extra: 0 }), { kind: 7, extra: 9 });
  assertEquals(await load(description, "06", { kind: 7, extra: 1 }), { kind: 6, extra: 1 });
});

const point = vmstate("point", {
  fields: { x: uint8(), n: uint8(), tail: varray(uint32(), { count: "n", max: 2 }) },
});
const box = vmstate("box", {
  fields: { fixed: array(struct(point), 2), list: qtailq(point, { max: 2 }) },
});

Deno.test("loadState() says in which of many values it failed, and where in the stream", async () => {
  const cases = [
    [
      "0100" + "0103",
      "box.fixed[1].tail is counted by n, which is 3: at most 2 fit (at offset 0x4)",
    ],
    ["0100" + "0100" + "010100" + "0101ff", "box.list[1].tail is counted by n"],
    ["0100" + "0100" + "010100" + "010100" + "01", "box.list has more than 2 elements"],
  ] as const;
  for (const [bytes, message] of cases) {
    await assertRejects(() => load(box, bytes, box.create()), StreamFormatError, message);
  }
});

Deno.test("loadState() says in which value the stream ended, for every place it can end", async () => {
  const whole = "0101aabbccdd" + "0200" + "01" + "0302" + "0000000100000002" + "00";
  const loaded = await load(box, whole, box.create());
  assertEquals([...loaded.list[0]!.tail], [1, 2]);
  for (let end = 0; end < whole.length; end += 2) {
    const error = await assertRejects(
      () => load(box, whole.slice(0, end), box.create()),
      ConnectionLostError,
      "The stream ended inside box.",
    );
    assertInstanceOf(error, ConnectionLostError);
    assertEquals(error.place.offset! <= end / 2, true);
  }
});

Deno.test("loadState() passes on what a hook refuses, with the place", async () => {
  const refusing = vmstate("refusing", {
    fields: { a: uint8() },
    postLoad({ a }) {
      if (a > 1) throw new TypeError("a is too large");
      if (a > 0) throw new IncompatibleError("Not this machine", { advice: "Take another" });
    },
  });
  const room = vmstate("room", { fields: { all: array(struct(refusing), 2) } });
  await assertRejects(
    () => load(room, "0002", room.create()),
    MigrationError,
    "room.all[1]: postLoad failed: a is too large (at offset 0x2)",
  );
  const error = await assertRejects(
    () => load(room, "0100", room.create()),
    IncompatibleError,
    "Not this machine (at offset 0x1)",
  );
  assertEquals((error as IncompatibleError).advice, "Take another");
  const early = vmstate("early", {
    fields: { a: uint8() },
    preLoad: () => Promise.reject(new Error("not yet")),
  });
  await assertRejects(
    () => load(early, "00", { a: 0 }),
    MigrationError,
    "early: preLoad failed: not yet",
  );
});

Deno.test("loadState() starts at the reader's position and says offsets of the whole stream", async () => {
  const reader = ByteReader.of(fromHex("0103"), 0x1000);
  await assertRejects(
    () => loadState(reader, point, point.create(), 1),
    StreamFormatError,
    "(at offset 0x1002)",
  );
});
