import { assert, assertEquals } from "@std/assert";
import { analyzeStream } from "../../src/analyze/analyze_stream.ts";
import { JsonWriter } from "../../src/analyze/json_writer.ts";
import { writeState } from "../../src/analyze/state_output.ts";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { readGolden, readGoldenManifest } from "../support/golden.ts";
import { fileOf, pipeOf } from "./fixtures/memory_bytes.ts";
import { pageOf, StreamBuilder } from "./fixtures/stream_builder.ts";

function stateOf(analysis: Analysis): string {
  let text = "";
  const writer = new JsonWriter((bytes) => void (text += new TextDecoder().decode(bytes)));
  writeState(writer, analysis);
  writer.end();
  return text;
}

for (const [name, { about }] of Object.entries(await readGoldenManifest())) {
  Deno.test(`analyzeStream() understands ${name} to its end, from a file and from a pipe: ${about}`, async () => {
    const bytes = await readGolden(name);
    const [file, pipe] = [fileOf(bytes), pipeOf(bytes, 10_007)].map((source) =>
      analyzeStream(source, { keepState: true })
    ) as [Analysis, Analysis];
    const cut = name.startsWith("postcopy-recover"); // the link was lost there
    assertEquals(file.ended, !cut, file.failure?.message);
    assertEquals(file.failure?.name, cut ? "ConnectionLostError" : undefined);
    assertEquals(file.trailing, undefined);
    assertEquals(file.oddities, []);
    assertEquals(file.size, bytes.length);
    assertEquals(stateOf(pipe), stateOf(file));
    assertEquals(pipe.elements, file.elements);
    assertEquals(pipe.failure?.message, file.failure?.message);
    assert(file.configuration!.machine.length > 3);
    const described = !name.includes("postcopy");
    assertEquals(file.description !== undefined, described);
    for (const { live, state, raw } of file.sections.values()) {
      assert(live || (described ? state : raw));
    }
  });
}

const uint8 = (name: string) => ({ name, type: "uint8", size: 1 });

Deno.test("analyzeStream() begins where it is told, and tells what follows the stream", () => {
  const stream = new StreamBuilder().device("d", [1], [uint8("f")]).finish();
  const bytes = new Uint8Array(100 + stream.length + 50);
  bytes.set(stream, 100);
  const { failure, trailing, size, description } = analyzeStream(fileOf(bytes), { start: 100 });
  assertEquals(failure, undefined);
  assertEquals(trailing, { offset: 100 + stream.length, size: 50 });
  assertEquals(size, stream.length + 50);
  assertEquals(description!.offset + description!.length, 100 + stream.length);
});

Deno.test("analyzeStream() tells of devices that are described and missing, or described twice", () => {
  const bytes = new StreamBuilder().device("d", [1]).finish(JSON.stringify({
    devices: [
      { name: "d", instance_id: 0, fields: [] },
      { name: "d", instance_id: 0, fields: [uint8("f")] },
      { name: "e", instance_id: 3, fields: [] },
    ],
  }));
  const { failure, oddities, sections } = analyzeStream(fileOf(bytes));
  assertEquals(failure, undefined);
  assertEquals([...[...sections.values()][0]!.state!.keys()], ["f"]);
  assertEquals(oddities, [
    "The description lists d/0 more than once.",
    "e/3 is described and was not sent.",
  ]);
});

for (
  const [what, fields, message] of [
    ["is too short", [uint8("a")], "Missing section footer: found 0x02"],
    ["is too long", [{ name: "a", type: "buffer", size: 5 }], "Missing section footer"],
    ["is far too long", [{ name: "a", type: "buffer", size: 1e6 }], "stream ended inside a"],
    ["has a size that cannot be", [{ name: "a", type: "buffer", size: 1e12 }], "too much"],
    ["has a run without end", [{ ...uint8("a"), array_len: 1e12 }], "stream ended inside a"],
  ] as const
) {
  for (const [kind, open] of [["file", fileOf], ["pipe", pipeOf]] as const) {
    Deno.test(`analyzeStream() says where a description lies that ${what} (${kind})`, () => {
      const bytes = new StreamBuilder().blocks({ a: 8192 })
        .pages((records) => records.normal("a", 1, pageOf(1)))
        .device("fine", [9], [uint8("f")])
        .device("liar", [1, 2], fields)
        .device("behind", [7], [uint8("f")])
        .finish();
      const analysis = analyzeStream(open(bytes), { keepState: true });
      const { failure, sections, ram } = analysis;
      if (kind === "file") assert(failure?.message.includes(message), failure?.message);
      assertEquals(failure?.place.section, "liar/0");
      const liar = analysis.elements.find(({ name }) => name === "liar/0")!;
      assert(failure!.place.offset! >= liar.offset);
      assert(failure!.place.offset! <= bytes.length);
      // What was understood before it.
      assertEquals(ram!.blocks[0]!.sent, 1);
      assertEquals([...sections.values()].find(({ idstr }) => idstr === "fine")!.state!.size, 1);
    });
  }
}

Deno.test("analyzeStream() takes the stream apart by its footers where the description is no description", () => {
  const nested = `{"devices": ${"[".repeat(1000)}${"]".repeat(1000)}}`;
  for (const text of ["{", "{}", '{"devices": [7]}', nested]) {
    const bytes = new StreamBuilder().device("a", [1, 2]).device("b", [3]).finish(text);
    const { failure, sections } = analyzeStream(fileOf(bytes), { keepState: true });
    assertEquals(failure?.place.section, "the description");
    assert(failure!.place.offset! >= bytes.length - text.length);
    assertEquals([...sections.values()].map(({ raw }) => raw!.bytes.length), [2, 1]);
  }
});

Deno.test("analyzeStream() says what is no stream", () => {
  const of = (hex: string) => analyzeStream(fileOf(Uint8Array.fromHex(hex))).failure;
  assert(of("")?.message.includes("ended inside the stream's magic"));
  assert(of("1122334400000001")?.message.includes("multifd channel"));
  assert(of("7f454c4600000000")?.message.includes('begins with 0x7f454c46, not "QEVM"'));
  assert(of("5145564d00000002")?.message.includes("version 2"));
});

Deno.test("analyzeStream() understands every beginning of a stream as far as it goes", async () => {
  const bytes = await readGolden("none-10.0");
  const whole = analyzeStream(fileOf(bytes));
  const before = whole.description!.offset - 6;
  for (let length = 0; length < bytes.length; length++) {
    const analysis = analyzeStream(fileOf(bytes.subarray(0, length)), { keepState: true });
    assertEquals(analysis.failure === undefined, length === before + 1, String(length));
    assert(analysis.size <= length);
    const sections = whole.elements.filter(({ offset, size }) => offset + size <= length);
    assert(analysis.elements.length >= sections.length, String(length));
  }
});

Deno.test("analyzeStream() reads only the description if nothing else is wanted", () => {
  const bytes = new StreamBuilder().device("d", [1], [uint8("f")]).finish();
  const analysis = analyzeStream(fileOf(bytes), { descriptionOnly: true });
  assertEquals([analysis.description!.deviceCount, analysis.elements.length], [1, 0]);
  assertEquals(analyzeStream(pipeOf(bytes), { descriptionOnly: true }).elements.length, 1);
});
