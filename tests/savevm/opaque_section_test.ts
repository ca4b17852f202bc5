import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { LoadContext } from "../../src/savevm/load.ts";
import { readOpaquePayload } from "../../src/savevm/opaque_section.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { SplitFeed } from "../support/split_feed.ts";
import { fromHex, text } from "../wire/vectors.ts";

const ID = 0x0000000a;
const FOOTER = "7e 0000000a";
/** A section that is open: PART and END can refer to it. */
const OPEN = 5;

async function openContext(): Promise<LoadContext> {
  const context = new LoadContext({
    configuration: () => {},
    section: () => ({ load: () => Promise.resolve() }),
    command: () => Promise.resolve("continue"),
  });
  const start = `01 0000000${OPEN} 03 ${text("ram")} 00000000 00000004 7e 0000000${OPEN} 00`;
  assertEquals(await context.loadElements(ByteReader.of(fromHex(start))), "eof");
  return context;
}

/** Reads a payload from a stream that arrives in pieces of a size. */
async function read(hex: string, size: number): Promise<{ payload: string; position: number }> {
  const bytes = fromHex(hex);
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, () => size);
  const reader = new ByteReader(new SplitFeed(bytes, pieces));
  const payload = await readOpaquePayload(reader, ID, await openContext());
  return { payload: payload.toHex(), position: reader.position };
}

/** Everything that can follow a section's footer. */
const FOLLOWING: readonly (readonly [string, string])[] = [
  ["the stream's end", "00"],
  ["the stream's end and the description", "00 06 00000002 7b7d"],
  ["another section", `04 0000000b 04 ${text("vga0")} 00000000 00000001 00`],
  ["a section in parts", `01 0000000b 04 ${text("vga0")} 00000000 00000001 00`],
  ["a part of an open section", `02 0000000${OPEN} 0000`],
  ["the end of an open section", `03 0000000${OPEN} 0000`],
  ["a command", "08 0002 0004 00000001"],
  ["the connection's end", ""],
];

for (const [name, following] of FOLLOWING) {
  Deno.test(`readOpaquePayload() ends before a footer that is followed by ${name}`, async () => {
    for (const payload of ["", "01", "7e7e7e", "7e0000", "00".repeat(70_000)]) {
      for (const size of [1, 7, 100_000]) {
        if (payload.length > 100 && size < 100_000) continue;
        const result = await read(payload + FOOTER + following, size);
        assertEquals(result, { payload, position: payload.length / 2 });
      }
    }
  });
}

Deno.test("readOpaquePayload() reads from memory, however little there is", async () => {
  for (let length = 0; length < 30; length++) {
    const payload = "7e".repeat(length);
    const reader = ByteReader.of(fromHex(payload + FOOTER));
    const found = await readOpaquePayload(reader, ID, await openContext());
    assertEquals(found.toHex(), payload);
  }
});

/** What looks like a footer but is followed by something that cannot be an element. */
const FAKES: readonly string[] = [
  `${FOOTER} 05`,
  `${FOOTER} 06 00000002`,
  `${FOOTER} 7e 0000000a 7f`,
  `${FOOTER} ff`,
  `${FOOTER} 00 00`,
  `${FOOTER} 04 0000000b 00`,
  `${FOOTER} 04 0000000b 02 0141 00000000`,
  `${FOOTER} 02 00000099`,
  `${FOOTER} 08 0000 0000`,
  `${FOOTER} 08 ffff 0000`,
  `7e ${FOOTER} 7f`,
  FOOTER.repeat(1000) + "09",
];

Deno.test("readOpaquePayload() is not misled by bytes that look like a footer", async () => {
  for (const fake of FAKES) {
    for (const size of [1, 3, 100_000]) {
      const payload = fromHex(`0102 ${fake} 03`).toHex();
      const result = await read(`${payload} ${FOOTER} 00 06 00000000`, size);
      assertEquals(result, { payload, position: payload.length / 2 }, fake.slice(0, 40));
    }
  }
});

Deno.test("readOpaquePayload() finds a footer across the edges of what it looks at", async () => {
  for (let length = 32_760; length < 32_776; length++) {
    const payload = "11".repeat(length);
    assertEquals((await read(`${payload} ${FOOTER} 00`, 5000)).payload, payload);
  }
});

Deno.test("readOpaquePayload() does not take a lost connection for an end", async () => {
  for (const rest of ["", "7e", "7e 000000", "00".repeat(1000), "7e 0000000b 00 06"]) {
    await assertRejects(() => read(rest, 3), ConnectionLostError, "a section we carry");
  }
});

Deno.test("readOpaquePayload() takes time in proportion to fakes, not to their square", async () => {
  // 80 000 fakes: looking at a window for each would be 5 GiB of copies.
  const payload = fromHex(FOOTER.repeat(80_000)).toHex();
  const result = await read(`${payload} 01 ${FOOTER} 00`, 100_000);
  assertEquals(result.payload.length, payload.length + 2);
});
