import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { formatUuid, parseUuid, sameUuid } from "../../src/machine/uuid.ts";

const TEXT = "6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab";

Deno.test("parseUuid() reads what formatUuid() writes, in either case", () => {
  const uuid = parseUuid(TEXT);
  assertEquals(uuid.toHex(), TEXT.replaceAll("-", ""));
  assertEquals(formatUuid(uuid), TEXT);
  assert(sameUuid(parseUuid(TEXT.toUpperCase()), uuid));
  assert(!sameUuid(parseUuid(TEXT.replace("6d", "6e")), uuid));
});

Deno.test("parseUuid() refuses what is none", () => {
  for (
    const text of ["", TEXT.slice(1), `${TEXT}0`, TEXT.replaceAll("-", ""), `${TEXT.slice(1)}g`]
  ) {
    assertThrows(() => parseUuid(text), UsageError, "Not a UUID");
  }
});
