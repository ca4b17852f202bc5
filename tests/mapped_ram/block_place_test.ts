import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, MigrationError, StreamFormatError } from "../../src/errors.ts";
import { bitmapBytes, readBlockPlace, writeBlockPlace } from "../../src/mapped_ram/block_place.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";

const MIB = 1024 ** 2;
const ENTRY = { name: "pc.ram", length: 100 * 4096 };

Deno.test("bitmapBytes() is whole words of 64 bits", () => {
  assertEquals([0, 1, 64, 65, 512].map(bitmapBytes), [0, 8, 8, 16, 64]);
});

Deno.test("A block's place is written as QEMU writes it: bitmap at once, pages at a whole MiB", () => {
  const writer = new ByteWriter();
  const place = writeBlockPlace(writer, 1000, ENTRY, 4096);
  assertEquals(place, { bitmapOffset: 1028, pagesOffset: MIB, end: MIB + 100 * 4096 });
  assertEquals(
    writer.take().toHex(),
    "00000001" + "0000000000001000" + "0000000000000404" + "0000000000100000",
  );
  // A bitmap that ends a byte too late for this MiB, and one that just fits.
  const late = writeBlockPlace(writer, MIB - 28 - 15, ENTRY, 4096);
  assertEquals([late.bitmapOffset, late.pagesOffset], [MIB - 15, 2 * MIB]);
  assertEquals(writeBlockPlace(writer, MIB - 28 - 16, ENTRY, 4096).pagesOffset, MIB);
});

const LIMITS = { pageSize: 4096, offset: 500, size: 10 * MIB };

/** A header that stands at the stream's start, with its fields as they should be or as told. */
function header(change: Partial<Record<"version" | "pageSize" | "bitmap" | "pages", number>> = {}) {
  const { version = 1, pageSize = 4096, bitmap = 528, pages = MIB } = change;
  const writer = new ByteWriter().be32(version).be64(pageSize).be64(bitmap).be64(pages);
  return ByteReader.of(writer.take());
}

Deno.test("readBlockPlace() reads it, also where bitmap or pages stand farther behind", async () => {
  for (const [bitmap, pages] of [[528, MIB], [600, 4096], [4096, 8192], [528, 9 * MIB]] as const) {
    assertEquals(await readBlockPlace(header({ bitmap, pages }), ENTRY, LIMITS), {
      bitmapOffset: bitmap,
      pagesOffset: pages,
      end: pages + ENTRY.length,
    });
  }
});

const REFUSED: readonly (readonly [Parameters<typeof header>[0], string])[] = [
  [{ version: 2 }, 'RAM block "pc.ram" has a mapped-ram header of version 2: only 1 is known'],
  [{ version: 0 }, "header of version 0"],
  [{ pageSize: 8192 }, "has pages of 8192 bytes in the file, not 4096"],
  [{ pageSize: 0 }, "has pages of 0 bytes in the file"],
  [{ bitmap: 527 }, "has its bitmap at 527, before the end of its header at 528"],
  [{ bitmap: 0 }, "has its bitmap at 0, before the end of its header"],
  [{ bitmap: 4096 - 15, pages: 4096 }, "has its pages at 4096, before the end of its bitmap"],
  [{ pages: 0 }, "has its pages at 0, before the end of its bitmap at 544"],
  [{ pages: 4097 }, "has its pages at 4097, which is no multiple of 4096"],
  [{ bitmap: 2 ** 53 }, "is absurd"],
  [{ pages: 2 ** 60 }, "is absurd"],
];

for (const [change, why] of REFUSED) {
  Deno.test(`readBlockPlace() refuses ${JSON.stringify(change)}`, async () => {
    await assertRejects(
      () => readBlockPlace(header(change), ENTRY, LIMITS),
      StreamFormatError,
      why,
    );
  });
}

Deno.test("readBlockPlace() refuses pages that the file is too short for, and says by how much", async () => {
  const size = MIB + ENTRY.length;
  await readBlockPlace(header(), ENTRY, { ...LIMITS, size });
  const error = await assertRejects(
    () => readBlockPlace(header(), ENTRY, { ...LIMITS, size: size - 1 }),
    ConnectionLostError,
    `The file ends at ${size - 1}, and the pages of RAM block "pc.ram" at ${size}`,
  );
  assert(error instanceof MigrationError);
  assertEquals(error.advice, "The file was cut off.");
});
