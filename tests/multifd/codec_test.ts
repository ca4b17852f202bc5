import { assertEquals, assertStrictEquals } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import { damaged, tooLong, tooShort } from "../../src/multifd/codec.ts";

Deno.test("tooShort(), tooLong() and damaged() are format errors that say what is wrong", () => {
  const cause = new TypeError("invalid block type");
  const errors = [tooShort(17), tooLong(), damaged("zlib", cause), damaged("zstd", "no")];
  assertEquals(errors.map(({ message }) => message), [
    "The payload of a multifd packet expands to 17 bytes less than its pages",
    "The payload of a multifd packet expands past its pages",
    "The payload of a multifd packet is not zlib: invalid block type",
    "The payload of a multifd packet is not zstd: no",
  ]);
  for (const error of errors) assertEquals(error instanceof StreamFormatError, true);
  assertStrictEquals(errors[2]!.cause, cause);
});
