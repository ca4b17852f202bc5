import { assertEquals } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import {
  readStreamHeader,
  STREAM_HEADER_SIZE,
  writeStreamHeader,
} from "../../src/wire/stream_header.ts";
import { assertReads, assertRefuses, text, written } from "./vectors.ts";

Deno.test("The header is QEVM and 3, both ways", async () => {
  const hex = written(writeStreamHeader);
  assertEquals(hex, "5145564d00000003");
  assertEquals(hex.length / 2, STREAM_HEADER_SIZE);
  await assertReads(hex, readStreamHeader, undefined);
});

Deno.test("readStreamHeader() refuses what is no stream", async () => {
  for (const beginning of ["GET ", "SSH-", "\0\0\0\0", "QEVN", "MVEQ", "QFI\xfb"]) {
    const hex = text(beginning).slice(0, 8);
    await assertRefuses(hex, readStreamHeader, StreamFormatError, `begins with 0x${hex}`);
  }
});

Deno.test("readStreamHeader() refuses other versions, the old one by its name", async () => {
  const refuse = (version: string, message: string) =>
    assertRefuses(`5145564d ${version}`, readStreamHeader, IncompatibleError, message, 4);
  await refuse("00000002", "version 2 is obsolete");
  await refuse("00000000", "version 0 is unknown");
  await refuse("00000004", "version 4 is unknown");
  await refuse("03000000", "version 50331648 is unknown");
});
