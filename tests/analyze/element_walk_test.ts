import { assert, assertEquals, assertThrows } from "@std/assert";
import { Analysis } from "../../src/analyze/analysis.ts";
import { parseDescription } from "../../src/analyze/description.ts";
import { ElementWalk } from "../../src/analyze/element_walk.ts";
import { StreamInput } from "../../src/analyze/input.ts";
import { MigrationError } from "../../src/errors.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { Command, writeCommand, writePing } from "../../src/wire/command.ts";
import { STREAM_HEADER_SIZE } from "../../src/wire/stream_header.ts";
import { pageOf, StreamBuilder } from "./fixtures/stream_builder.ts";

/** The configuration section of a {@linkcode StreamBuilder}, in bytes. */
const CONFIGURATION_SIZE = 1 + 4 + "made".length;
const START = STREAM_HEADER_SIZE + CONFIGURATION_SIZE;

function walk(
  bytes: Uint8Array<ArrayBuffer>,
  options: { readonly keepState?: boolean } = {},
  devices?: readonly unknown[],
): Analysis {
  const analysis = new Analysis("made");
  if (devices) {
    const text = JSON.stringify({ devices });
    analysis.description = parseDescription(new TextEncoder().encode(text), 0);
  }
  new ElementWalk(analysis, options).elements(StreamInput.of(bytes.subarray(START), START));
  return analysis;
}

function lines({ elements }: Analysis): string[] {
  return elements.map(({ kind, name, count, packaged, detail }) =>
    `${packaged ? "  " : ""}${kind} ${name}${count > 1 ? ` ×${count}` : ""}${
      detail === "" ? "" : `: ${detail}`
    }`
  );
}

Deno.test("ElementWalk lists elements, and the parts of a round of sections as one", () => {
  const builder = new StreamBuilder().command(Command.OPEN_RETURN_PATH).blocks({ a: 8192 });
  for (let i = 0; i < 1000; i++) builder.pages(() => {});
  builder.command(Command.SWITCHOVER_START).pages(() => {}, "end").device("d", [1, 2]);
  const total = builder.length;
  const analysis = walk(builder.cut());
  assertEquals(lines(analysis), [
    "command OPEN_RETURN_PATH",
    "start ram/0",
    "part ram/0 ×1000",
    "command SWITCHOVER_START",
    "end ram/0",
    "full d/0",
  ]);
  assertEquals(analysis.elements[0]!.offset, START);
  assertEquals(analysis.elements.reduce((sum, { size }) => sum + size, START), total);
});

Deno.test("ElementWalk takes a section apart by the description, and keeps or passes over others", () => {
  const bytes = new StreamBuilder().device("a", [1, 2]).device("b", [3, 4, 5]).cut();
  const field = { name: "f", type: "uint16", size: 2 };
  const described = [{ name: "a", instance_id: 0, fields: [field] }];
  const kept = walk(bytes, { keepState: true }, described);
  const [a, b] = [...kept.sections.values()];
  assert(a!.state && !b!.state);
  assertEquals([...a!.state.keys()], ["f"]);
  assertEquals([...b!.raw!.bytes], [3, 4, 5]);
  assertEquals(bytes[b!.raw!.offset], 3);
  assertEquals(kept.oddities, ["b/0 was sent and is not described."]);
  assertEquals([...walk(bytes).sections.values()].map(({ raw }) => raw), [undefined, undefined]);
});

Deno.test("ElementWalk walks into a package and out of it", () => {
  const inside = new ByteWriter();
  writeCommand(inside, Command.POSTCOPY_LISTEN);
  const device = new StreamBuilder().device("d", [1, 2, 3]);
  inside.bytes(device.writer.take().subarray(START));
  writePing(inside, 3);
  writeCommand(inside, Command.POSTCOPY_RUN);
  const content = inside.take();
  const ranges = new ByteWriter().u8(0).countedString("a").u8(0).be64(0).be64(4096).be64(8192).be64(
    1,
  );
  const bytes = new StreamBuilder()
    .command(Command.POSTCOPY_ADVISE, new ByteWriter().be64(0x201000).be64(4096).take())
    .blocks({ a: 8192 })
    .command(Command.POSTCOPY_RAM_DISCARD, ranges.take())
    .command(Command.PACKAGED, new ByteWriter().be32(content.length).take())
    .raw((writer) => writer.bytes(content))
    .command(Command.PING, Uint8Array.of(0, 0, 0, 4))
    .pages((records) => records.normal("a", 1, pageOf(1)).normal("a", 0, pageOf(2)))
    .cut();
  const analysis = walk(bytes);
  assertEquals(lines(analysis), [
    "command POSTCOPY_ADVISE: pages of 4096 bytes",
    "start ram/0",
    "command POSTCOPY_RAM_DISCARD: 4097 bytes of a in 2 ranges",
    `command PACKAGED: ${content.length} bytes`,
    "  command POSTCOPY_LISTEN",
    "  full d/0",
    "  command PING: 3",
    "  command POSTCOPY_RUN",
    "command PING: 4",
    "part ram/0",
  ]);
  assertEquals([analysis.ram!.blocks[0]!.sent, analysis.ram!.rounds.length], [2, 0]);
  assertEquals(analysis.ram!.advisedPageSizes, 0x200000n);
});

for (
  const [what, build, message, section] of [
    ["an unknown element", (b) => b.raw((w) => w.u8(0x55)), "section type 0x55", undefined],
    [
      "a section without a name",
      (b) => b.raw((w) => w.u8(4).be32(1).u8(0)),
      "without a name",
      undefined,
    ],
    ["a part of nothing", (b) => b.raw((w) => w.u8(2).be32(99)), "Section 99 goes on", undefined],
    ["command 0", (b) => b.raw((w) => w.u8(8).be16(0).be16(0)), "Unknown command 0", undefined],
    ["command 99", (b) => b.raw((w) => w.u8(8).be16(99).be16(0)), "Unknown command 99", undefined],
    [
      "another version of ram",
      (b) => {
        b.raw((w) => w.u8(1).be32(1).countedString("ram").be32(0).be32(3));
      },
      "ram version 3",
      "ram/0",
    ],
    [
      "no footer",
      (b) => {
        b.blocks({}).raw((w) => w.u8(2).be32(7).be64(0x10).u8(1).be32(7));
      },
      "Missing section footer: found 0x01",
      "ram/0",
    ],
    [
      "another section's footer",
      (b) => {
        b.blocks({}).raw((w) => w.u8(2).be32(7).be64(0x10).u8(0x7e).be32(8));
      },
      "footer with id 8, not 7",
      "ram/0",
    ],
    [
      "packages in packages",
      (b) => {
        for (let i = 0; i < 2; i++) b.command(Command.PACKAGED, Uint8Array.of(0, 0, 255, 0));
      },
      "A package inside a package",
      undefined,
    ],
    [
      "a package that is too short",
      (b) => {
        b.command(Command.PACKAGED, Uint8Array.of(0, 0, 0, 4)).command(Command.POSTCOPY_RUN);
      },
      "A package of 4 bytes has elements of 5",
      "PACKAGED",
    ],
    [
      "a page in the wrong place",
      (b) => {
        b.blocks({ a: 4096 }).pages((records) => records.zero("a", 5));
      },
      "outside RAM block",
      "ram/0",
    ],
  ] as const satisfies readonly (readonly [
    string,
    (builder: StreamBuilder) => unknown,
    string,
    string | undefined,
  ])[]
) {
  Deno.test(`ElementWalk refuses ${what}, and says where`, () => {
    const builder = new StreamBuilder();
    build(builder);
    const error = assertThrows(() => walk(builder.cut()), MigrationError, message);
    assertEquals(error.place.section, section);
    assert(error.place.offset! >= START);
  });
}

Deno.test("ElementWalk lists only so many elements, and says that there are more", () => {
  const builder = new StreamBuilder();
  for (let i = 0; i < 65_636; i++) builder.command(Command.PING, new Uint8Array(4));
  const { elements, oddities } = walk(builder.cut());
  assertEquals([elements.length, oddities], [65_536, ["100 elements more are not listed."]]);
});
