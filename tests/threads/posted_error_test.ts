import { assertEquals, assertInstanceOf } from "@std/assert";
import * as errors from "../../src/errors.ts";
import { fromPostedError, toPostedError } from "../../src/threads/posted_error.ts";

function across(thrown: unknown): Error {
  return fromPostedError(structuredClone(toPostedError(thrown)));
}

Deno.test("fromPostedError() makes every class of errors.ts again", () => {
  for (const [name, type] of Object.entries(errors)) {
    if (typeof type !== "function" || !(type.prototype instanceof errors.MigrationError)) continue;
    const ErrorType = type as typeof errors.MigrationError;
    const error = across(new ErrorType("It broke", { place: { offset: 1 }, advice: "Mend it" }));
    assertInstanceOf(error, ErrorType, name);
    assertEquals(error.message, "It broke (at offset 0x1)");
    assertEquals(error.advice, "Mend it");
  }
});

Deno.test("fromPostedError() keeps name, stack and causes of other errors", () => {
  const original = new RangeError("outer", { cause: new errors.UsageError("inner") });
  const error = across(original);
  assertEquals([error.name, error.message, error.stack], [
    "RangeError",
    "outer",
    original.stack,
  ]);
  assertInstanceOf(error.cause, errors.UsageError);
});

Deno.test("toPostedError() takes anything thrown, and a circle of causes", () => {
  assertEquals(across("just text").message, "just text");
  assertEquals(across(undefined).message, "undefined");
  const error = new Error("round");
  error.cause = error;
  assertEquals(across(error).message, "round");
});
