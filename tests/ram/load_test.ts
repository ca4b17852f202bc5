import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import type { RamBlockEntry } from "../../src/ram/block_list.ts";
import { RamLoader } from "../../src/ram/load.ts";
import { LoadContext } from "../../src/savevm/load.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { byteByByte } from "../support/split_feed.ts";
import { fromHex, text } from "../wire/vectors.ts";

const CONTEXT = new LoadContext({
  configuration: () => {},
  section: () => ({ load: () => Promise.resolve() }),
  command: () => Promise.resolve("continue"),
});

const LIST = `0000000000003004 03 ${text("low")} 0000000000001000 02 ${
  text("hi")
} 0000000000002000`;
const EOS = "0000000000000010";
const FLUSH = "0000000000000200";
/** A page's record as far as the main thread looks at it: the rest is the worker's. */
const ZERO = `0000000000000002 03 ${text("low")} 00`;
const CONTINUED = "0000000000001022 00";

/** A loader, and what it did. */
function loader(reader: ByteReader, pageSize = 4096) {
  const log: string[] = [];
  const ram = new RamLoader({
    dialect: { pageSize },
    prepare: (blocks: readonly RamBlockEntry[]) => {
      log.push(blocks.map(({ name, length }) => `${name}:${length}`).join(" "));
      return Promise.resolve();
    },
    // What the worker does: pass all records of pages.
    loadPages: async () => {
      let pages = 0;
      for (;; pages++) {
        await reader.need(8, "a record");
        const head = new Uint8Array(9);
        reader.source.peek(head.subarray(0, 8));
        const flags = head[7]! & 0xff;
        if ((flags & ~0x20) !== 2) break;
        await reader.skip(8, "a record");
        if (!(flags & 0x20)) await reader.countedString("a block");
        await reader.skip(1, "a fill");
      }
      log.push(`${pages} pages`);
    },
    flush: () => Promise.resolve(void log.push("flush")),
  });
  return { ram, log };
}

async function load(hex: string, part: "start" | "part" | "end" = "part") {
  const reader = ByteReader.of(fromHex(hex));
  const { ram, log } = loader(reader);
  await ram.load(reader, part, CONTEXT);
  assert(await reader.atEnd());
  return { ram, log };
}

Deno.test("RamLoader reads the list, lets the worker place pages, and ends at EOS", async () => {
  const { log } = await load(`${LIST} ${ZERO} ${CONTINUED} ${FLUSH} ${ZERO} ${EOS}`);
  assertEquals(log, ["low:4096 hi:8192", "2 pages", "flush", "1 pages"]);
});

Deno.test("RamLoader reads the list however it arrives", async () => {
  const reader = byteByByte(fromHex(`${LIST} ${EOS}`));
  const { ram, log } = loader(reader);
  await ram.load(reader, "start", CONTEXT);
  assertEquals(log, ["low:4096 hi:8192"]);
});

Deno.test("RamLoader is complete after its END and not before", async () => {
  assertEquals((await load(EOS, "start")).ram.complete, false);
  assertEquals((await load(EOS, "part")).ram.complete, false);
  assertEquals((await load(EOS, "end")).ram.complete, true);
});

Deno.test("RamLoader is at peace with thousands of empty parts", async () => {
  const reader = ByteReader.of(fromHex(EOS.repeat(5000)));
  const { ram } = loader(reader);
  for (let i = 0; i < 5000; i++) await ram.load(reader, "part", CONTEXT);
});

Deno.test("RamLoader takes the same list again, but no other", async () => {
  assertEquals((await load(`${LIST} ${LIST} ${EOS}`)).log.length, 1);
  const other = LIST.replace("0000000000003004", "0000000000002004")
    .replace("0000000000002000", "0000000000001000");
  await assertRejects(() => load(`${LIST} ${other}`), StreamFormatError, "not in the first list");
  const more = `0000000000001004 01 61 0000000000001000`;
  await assertRejects(() => load(`${LIST} ${more}`), StreamFormatError, 'block "a" of 4096 bytes');
});

Deno.test("RamLoader refuses pages before the list", async () => {
  for (const record of [ZERO, CONTINUED, "0000000000000008", "0000000000000028"]) {
    await assertRejects(() => load(record), StreamFormatError, "before the list");
  }
});

/** Records that are none, and what the message says of them. */
const WRONG: readonly (readonly [string, string, string])[] = [
  ["0000000000000000", "no flag", "damaged"],
  ["0000000000000001", "no flag (0x1)", "damaged"],
  ["000000000000000a", "ZERO|PAGE", "damaged"],
  ["0000000000000210", "EOS|MULTIFD_FLUSH", "damaged"],
  ["0000000000000030", "EOS|CONTINUE", "damaged"],
  ["0000000000000080", "HOOK", "damaged"],
  ["0000000000000100", "COMPRESS_PAGE", "compress"],
  ["0000000000000800", "no flag", "damaged"],
  ["ffffffffffffffff", "PAGE", "damaged"],
];

for (const [record, message, advice] of WRONG) {
  Deno.test(`RamLoader refuses a record ${record}: ${message}`, async () => {
    const error = await assertRejects(
      () => load(`${LIST} ${record}`),
      StreamFormatError,
      message,
    );
    assertEquals(error.place.offset, fromHex(LIST).length);
    // What a later version understands is no longer refused with an advice.
    assert(error.advice?.includes(advice), error.advice);
  });
}

Deno.test("RamLoader refuses RAM that no host has before it reads the list", async () => {
  await assertRejects(() => load("7ffffffffffff004"), StreamFormatError, "at most");
  await assertRejects(() => load("fffffffffffff004"), StreamFormatError, "at most");
});

Deno.test("RamLoader knows flags by the target page", async () => {
  // With pages of 1 KiB, 0x1000 is an offset and 0x10 alone the flag.
  const reader = ByteReader.of(fromHex("0000000000000010"));
  await loader(reader, 1024).ram.load(reader, "part", CONTEXT);
  const other = ByteReader.of(fromHex("0000000000000410"));
  await loader(other, 1024).ram.load(other, "part", CONTEXT);
});

Deno.test("RamLoader takes a stream that ends for a lost connection", async () => {
  const bytes = fromHex(`${LIST} ${ZERO} ${EOS}`);
  for (let length = 0; length < bytes.length; length++) {
    const reader = ByteReader.of(bytes.subarray(0, length));
    const { ram } = loader(reader);
    await assertRejects(() => ram.load(reader, "part", CONTEXT), ConnectionLostError);
  }
});
