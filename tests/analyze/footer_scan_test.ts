import { assertEquals, assertThrows } from "@std/assert";
import { scanToFooter } from "../../src/analyze/footer_scan.ts";
import { StreamInput } from "../../src/analyze/input.ts";
import { ConnectionLostError } from "../../src/errors.ts";
import { fileOf, pipeOf } from "./fixtures/memory_bytes.ts";

const FOOTER = "7e 00000005";

function bytesOf(hex: string, before = 0): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.fromHex(hex.replaceAll(" ", ""));
  const all = new Uint8Array(before + bytes.length).fill(0x7e);
  all.set(bytes, before);
  return all;
}

function scan(bytes: Uint8Array): { length: number; kept: number; position: number } {
  const input = new StreamInput(fileOf(bytes));
  let kept = 0;
  const length = scanToFooter(input, 5, (id) => id === 9, (part) => void (kept += part.length));
  return { length, kept, position: input.position };
}

for (
  const [what, after] of Object.entries({
    "the end of the stream": "",
    "the end mark and nothing": "00",
    "the end mark and a description": "00 06",
    "a section": "04 00000006 03 616263",
    "a part of a section that is open": "02 00000009",
    "the end of a section that is open": "03 00000009",
    "a command": "08 000b 0000",
  })
) {
  Deno.test(`scanToFooter() stops where ${what} follows`, () => {
    assertEquals(scan(bytesOf(`aabb ${FOOTER} ${after}`)), { length: 2, kept: 2, position: 2 });
  });
}

for (
  const [what, after] of Object.entries({
    "another byte": "77",
    "the end mark and another byte": "00 07",
    "a section without a name": "04 00000006 00",
    "a section with a name of no letters": "04 00000006 02 6100",
    "a section whose name is cut off": "01 00000006 09 6161",
    "a part of a section that never began": "02 00000008",
    "no command": "08 0000 0000",
    "a command that is too high": "08 0011 0000",
    "another section's footer": "7e 00000006",
  })
) {
  Deno.test(`scanToFooter() goes on where ${what} follows`, () => {
    const spoiled = bytesOf(`aabb ${FOOTER} ${after}`);
    const bytes = new Uint8Array([...spoiled, ...bytesOf(`${FOOTER} 00`)]);
    assertEquals(scan(bytes).length, spoiled.length);
  });
}

Deno.test("scanToFooter() finds a footer anywhere, however the bytes come", () => {
  for (const before of [0, 1, 65_531, 65_532, 65_535, 65_536, 131_070, 200_000]) {
    const bytes = bytesOf(`00 ${FOOTER} 00 06`, before);
    assertEquals(scan(bytes), { length: before + 1, kept: before + 1, position: before + 1 });
    const input = new StreamInput(pipeOf(bytes, 777));
    assertEquals(scanToFooter(input, 5, () => false), before + 1);
  }
});

Deno.test("scanToFooter() says that a stream ended without one", () => {
  const input = new StreamInput(fileOf(new Uint8Array(100_000)));
  assertThrows(
    () => scanToFooter(input, 5, () => true),
    ConnectionLostError,
    "before the section's",
  );
});
