import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeState } from "../../src/analyze/decode_state.ts";
import type { DescribedField, DescribedState } from "../../src/analyze/description.ts";
import { StreamInput } from "../../src/analyze/input.ts";
import { StateInteger, type StateStruct } from "../../src/analyze/state_value.ts";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";

function field(name: string, type: string, size: number, arrayLength?: number): DescribedField {
  return { name, type, size, arrayLength, struct: undefined };
}

function structField(name: string, struct: DescribedState, arrayLength?: number): DescribedField {
  return { name, type: "struct", size: 0, arrayLength, struct };
}

const of = (...fields: DescribedField[]): DescribedState => ({ fields, subsections: [] });

function decode(hex: string, described: DescribedState): StateStruct {
  const input = StreamInput.of(Uint8Array.fromHex(hex.replaceAll(" ", "")), 100);
  const state = decodeState(input, described);
  assertEquals(input.peek(), undefined, "all bytes are taken");
  return state;
}

Deno.test("decodeState() reads every kind of integer as QEMU's script does", () => {
  for (const type of ["int8", "int8", "uint8 equal"]) {
    assertEquals(decode("ff", of(field("f", type, 1))).get("f"), new StateInteger(-1n, 1));
  }
  for (const type of ["int64", "int64 equal"]) {
    const value = decode("8000000000000000", of(field("f", type, 8))).get("f");
    assertEquals(value, new StateInteger(-(2n ** 63n), 8));
  }
  const unsigned = decode(
    "ffff ffffffff",
    of(field("a", "uint16", 2), field("b", "uint32 equal", 4)),
  );
  assertEquals([...unsigned.values()], [
    new StateInteger(0xffffn, 2),
    new StateInteger(0xffffffffn, 4),
  ]);
});

Deno.test("decodeState() reads bools, pointers to nothing, bytes and what it does not know", () => {
  const described = of(
    field("yes", "bool", 1),
    field("no", "bool", 1),
    field("null", "nullptr", 1),
    field("bytes", "pci config", 2),
    field("none", "buffer", 0),
    field("name", "capability", 99),
  );
  assertEquals([...decode("02 00 30 beef 02 6869", described)], [
    ["yes", true],
    ["no", false],
    ["null", null],
    ["bytes", Uint8Array.of(0xbe, 0xef)],
    ["none", new Uint8Array(0)],
    ["name", "hi"],
  ]);
});

Deno.test("decodeState() makes lists of runs, of repeated names, and of both", () => {
  const byte = (value: number) => new StateInteger(BigInt(value), 1);
  assertEquals(
    decode("01 02 03", of(field("a", "uint8", 1, 3))).get("a"),
    [byte(1), byte(2), byte(3)],
  );
  assertEquals(decode("07", of(field("a", "uint8", 1, 1))).get("a"), byte(7));
  const mixed = of(field("a", "uint8", 1, 2), field("a", "nullptr", 1), field("a", "uint8", 1));
  assertEquals(decode("01 02 30 04", mixed).get("a"), [byte(1), byte(2), null, byte(4)]);
});

Deno.test("decodeState() reads structures and subsections, also in the middle", () => {
  const inner: DescribedState = {
    fields: [field("x", "uint8", 1)],
    subsections: [{ name: "i/s", ...of(field("y", "uint8", 1)) }],
  };
  const outer = of(structField("list", inner, 2), field("z", "uint8", 1));
  const subsection = "05 03 692f73 00000001";
  const state = decode(`01 ${subsection} 02 03 ${subsection} 04 05`, outer);
  const one = (x: bigint, y: bigint) =>
    new Map<string, unknown>([
      ["x", new StateInteger(x, 1)],
      ["i/s", new Map([["y", new StateInteger(y, 1)]])],
    ]);
  assertEquals(state.get("list"), [one(1n, 2n), one(3n, 4n)] as never);
});

for (
  const [what, hex, described, message, offset] of [
    ["a device of 300 MiB", "", of(field("big", "buffer", 300 * 1024 ** 2)), "too much", 100],
    ["a run without end", "00", of(field("e", "buffer", 0, 2 ** 40)), "too many values", 100],
    ["a wide integer", "00", of(field("w", "uint32", 1000)), "integer of 1000 bytes", 100],
    ["an empty integer", "00", of(field("w", "int8", 0)), "integer of 0 bytes", 100],
    ["a bool of two bytes", "0000", of(field("b", "bool", 2)), "bool of 2 bytes", 100],
    [
      "nothing that is something",
      "00 31",
      of(field("a", "uint8", 1), field("n", "nullptr", 1)),
      "0x31",
      101,
    ],
    [
      "a subsection that is missing",
      "7e",
      { fields: [], subsections: [{ name: "s", ...of() }] },
      "described and missing",
      100,
    ],
    [
      "another subsection",
      "05 01 74",
      { fields: [], subsections: [{ name: "s", ...of() }] },
      '"t" where "s"',
      100,
    ],
  ] as const
) {
  Deno.test(`decodeState() refuses ${what}, and says where`, () => {
    const input = StreamInput.of(Uint8Array.fromHex(hex.replaceAll(" ", "")), 100);
    const error = assertThrows(() => decodeState(input, described), StreamFormatError, message);
    assertEquals(error.place.offset, offset);
  });
}

Deno.test("decodeState() leaves behind what it understood before the stream ended", () => {
  const inner = of(field("x", "uint8", 1), field("y", "uint32", 4));
  const state: StateStruct = new Map();
  const input = StreamInput.of(Uint8Array.of(1, 2, 3));
  const described = of(field("a", "uint8", 1), structField("s", inner));
  assertThrows(() => decodeState(input, described, state), ConnectionLostError, "inside s.y");
  assertEquals(state.get("a"), new StateInteger(1n, 1));
  const struct = state.get("s");
  assert(struct instanceof Map);
  assertEquals([...struct.keys()], ["x"]);
});
