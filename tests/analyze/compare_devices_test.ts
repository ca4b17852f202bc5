import { assertEquals } from "@std/assert";
import { compareDevices } from "../../src/analyze/compare_devices.ts";
import { analyzed } from "./fixtures/analyzed.ts";
import { type Field, StreamBuilder } from "./fixtures/stream_builder.ts";

function devices(build: (builder: StreamBuilder) => void) {
  const builder = new StreamBuilder();
  build(builder);
  return analyzed(builder.finish()).analysis;
}

const uint8 = (name: string, more = {}): Field => ({ name, type: "uint8", size: 1, ...more });
const buffer = (size: number): Field => ({ name: "b", type: "buffer", size });

Deno.test("compareDevices() finds fields of every kind that differ, by their paths", () => {
  const inner = { fields: [uint8("x"), { name: "flag", type: "bool", size: 1 }] };
  const struct = { name: "s", type: "struct", size: 2, struct: inner, array_len: 2 };
  const fields = [uint8("n"), struct, { name: "p", type: "nullptr", size: 1 }, buffer(2)];
  const first = devices((builder) =>
    builder.device("d", [1, 2, 1, 3, 0, 0x30, 0xaa, 0xbb], fields).device("same", [1], [uint8("f")])
  );
  const second = devices((builder) =>
    builder.device("d", [9, 2, 1, 4, 1, 0x30, 0xaa, 0xbc], fields).device("same", [1], [uint8("f")])
  );
  assertEquals(compareDevices(first, second), [{
    device: "d/0",
    in: "both",
    count: 4,
    fields: [
      { what: "n", first: "0x01", second: "0x09" },
      { what: "s[1].x", first: "0x03", second: "0x04" },
      { what: "s[1].flag", first: "false", second: "true" },
      { what: "b", first: "aa bb", second: "aa bc" },
    ],
  }]);
});

Deno.test("compareDevices() finds fields, elements and devices that one side has", () => {
  const first = devices((builder) =>
    builder.device("d", [1, 2], [uint8("a"), uint8("b")])
      .device("l", [1, 2, 3], [uint8("x", { array_len: 3 })]).device("old", [], [])
  );
  const second = devices((builder) =>
    builder.device("d", [1], [uint8("a")]).device("l", [1, 2], [uint8("x", { array_len: 2 })])
      .device("new", [], [])
  );
  const none = { fields: [], count: 0 };
  assertEquals(compareDevices(first, second), [
    {
      ...{ device: "d/0", in: "both", count: 1 },
      fields: [{ what: "b", first: "0x02", second: undefined }],
    },
    {
      ...{ device: "l/0", in: "both", count: 1 },
      fields: [{ what: "x[2]", first: "0x03", second: undefined }],
    },
    { device: "old/0", in: "first", ...none },
    { device: "new/0", in: "second", ...none },
  ]);
});

Deno.test("compareDevices() shows of long buffers what differs, also where nobody describes them", () => {
  const bytes = new Uint8Array(1000);
  const changed = bytes.slice();
  changed[500] = 1;
  for (const fields of [[buffer(1000)], undefined]) {
    const found = compareDevices(
      devices((builder) => builder.device("d", bytes, fields)),
      devices((builder) => builder.device("d", changed, fields)),
    )[0]!;
    const zeros = Array(31).fill("00").join(" ");
    assertEquals(found.fields, [{
      what: fields ? "b" : "data",
      first: `1000 bytes, from 500 on: 00 ${zeros}`,
      second: `1000 bytes, from 500 on: 01 ${zeros}`,
    }]);
  }
});

Deno.test("compareDevices() lists so many fields and counts all", () => {
  const fields = [uint8("x", { array_len: 100 })];
  const [found] = compareDevices(
    devices((builder) => builder.device("d", new Uint8Array(100), fields)),
    devices((builder) => builder.device("d", new Uint8Array(100).fill(1), fields)),
  );
  assertEquals([found!.count, found!.fields.length], [100, 64]);
});
