import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConnectionLostError, IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { FileSource } from "../../src/transport/file_source.ts";
import { RecordWalker } from "../../src/image/record_walker.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { withFolder } from "./fixtures.ts";

const BLOCKS = [{ name: "low", length: 8 * 4096 }, { name: "pc.ram", length: 2 ** 33 }];
const EOS = new ByteWriter().be64(0x10).take();

function page(offset: number, name?: string): Uint8Array {
  const writer = new ByteWriter(5000).be64(offset + (name === undefined ? 0x28 : 0x08));
  if (name !== undefined) writer.countedString(name);
  return writer.zeros(4096).take();
}

function zero(offset: number, name?: string, fill = 0): Uint8Array {
  const writer = new ByteWriter().be64(offset + (name === undefined ? 0x22 : 0x02));
  if (name !== undefined) writer.countedString(name);
  return writer.u8(fill).take();
}

/** Walks over records. */
async function walk<T>(
  records: readonly Uint8Array[],
  run: (walker: RecordWalker, source: FileSource) => T,
): Promise<T> {
  let result: T | undefined;
  await withFolder(async (folder) => {
    const writer = new ByteWriter();
    for (const record of records) writer.bytes(record);
    await Deno.writeFile(`${folder}/file`, writer.take());
    const channel = new FileChannel(fileSpec(`${folder}/file`, 0, "read"));
    try {
      const source = new FileSource(channel, 0, 16_384);
      result = run(new RecordWalker(source, BLOCKS, 4096), source);
    } finally {
      channel.close();
    }
  });
  return result!;
}

Deno.test("RecordWalker notes every record up to the first of another kind", async () => {
  const records = [
    page(0, "low"),
    page(4096),
    zero(3 * 4096),
    zero(5 * 2 ** 30, "pc.ram"),
    page(5 * 2 ** 30 + 4096),
    EOS,
  ];
  await walk(records, (walker, source) => {
    walker.walk();
    const { index } = walker;
    const offsets = records.map((_, i) =>
      records.slice(0, i).reduce((sum, { length }) => sum + length, 0)
    );
    assertEquals([0, 1].map((page) => index.offset(0, page)), offsets.slice(0, 2));
    assertEquals([index.offset(0, 3), index.isZero(0, 3)], [offsets[2], true]);
    const far = 5 * 2 ** 30 / 4096;
    assertEquals([index.offset(1, far), index.isZero(1, far)], [offsets[3], true]);
    assertEquals([index.offset(1, far + 1), index.isZero(1, far + 1)], [offsets[4], false]);
    assertEquals([index.has(0, 2), index.has(1, 0)], [false, false]);
    assertEquals(source.position, offsets[5]);
    // A walk that goes on in the next section remembers the block.
    walker.walk();
    assertEquals(source.position, offsets[5]);
  });
});

Deno.test("RecordWalker keeps the last version of a page, through many windows", async () => {
  const records = Array.from(
    { length: 50 },
    (_, i) => page(i % 8 * 4096, i === 0 ? "low" : undefined),
  );
  await walk([...records, zero(0), EOS], (walker) => {
    walker.walk();
    const { index } = walker;
    const size = 4096 + 8;
    assertEquals([index.offset(0, 1), index.offset(0, 7)], [49 * size + 4, 47 * size + 4]);
    assertEquals([index.offset(0, 0), index.isZero(0, 0)], [50 * size + 4, true]);
    assert(index.has(0, 3));
  });
});

for (
  const [what, records, error, words] of [
    ["continues none", [page(0)], StreamFormatError, "continues no block"],
    ["lies outside", [page(8 * 4096, "low")], StreamFormatError, "outside RAM block"],
    ["is of another block", [page(0, "high")], StreamFormatError, "not in the list"],
    ["ends early", [page(0, "low").subarray(0, 4000)], ConnectionLostError, "inside a page"],
    ["ends in its name", [page(0, "low").subarray(0, 10)], ConnectionLostError, "inside a page"],
    ["ends in its header", [new Uint8Array(5)], ConnectionLostError, "inside a page"],
    ["is a byte, repeated", [zero(0, "low", 7)], IncompatibleError, "one repeated byte"],
  ] as const
) {
  Deno.test(`RecordWalker refuses a record that ${what}`, () =>
    walk(records, (walker) => void assertThrows<Error>(() => walker.walk(), error, words)));
}
