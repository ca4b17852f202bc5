import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import * as errors from "../src/errors.ts";
import { asMigrationError, MigrationError, StreamFormatError } from "../src/errors.ts";

Deno.test("MigrationError.message says what and where, as far as that is known", () => {
  assertEquals(new MigrationError("It broke").message, "It broke");
  assertEquals(
    new MigrationError("It broke", {
      place: {
        side: "source",
        phase: "active",
        channel: "multifd 3",
        section: "ram/0",
        offset: 0x1234,
      },
    }).message,
    "It broke (source, in active, channel multifd 3, section ram/0, at offset 0x1234)",
  );
  assertEquals(
    new MigrationError("It broke", { place: { offset: 0 } }).message,
    "It broke (at offset 0x0)",
  );
});

Deno.test("MigrationError.explanation adds what to do", () => {
  const place = { side: "source" } as const;
  const { explanation } = new MigrationError("It broke", { place, advice: "Mend it." });
  assertEquals(explanation, "It broke (source). Mend it.");
  assertEquals(new MigrationError("It broke", { place }).explanation, "It broke (source)");
});

Deno.test("MigrationError.at() adds to the place; what is known stays", () => {
  const error = new StreamFormatError("Bad byte", { place: { offset: 5, section: "vga/0" } });
  assertStrictEquals(error.at({ offset: 1, section: "ram/0", side: "destination" }), error);
  assertEquals(error.place, { offset: 5, section: "vga/0", side: "destination" });
  assertEquals(error.message, "Bad byte (destination, section vga/0, at offset 0x5)");
  assertEquals(error.what, "Bad byte");
});

Deno.test("MigrationError.message never has a control character of a name from the wire", () => {
  const name = "\x1b[2J\x07\r\n\u202e\u0000\ud800";
  const error = new MigrationError(`RAM block "${name}"`, { place: { section: `${name}/0` } });
  assert(!/\p{C}/u.test(error.message), error.message);
  assert(
    error.message.startsWith('RAM block "\\u{1b}[2J\\u{7}\\u{d}\\u{a}\\u{202e}\\u{0}\\u{d800}"'),
  );
  assertEquals(new MigrationError("Gerät „ä“ 机 🙂").message, "Gerät „ä“ 机 🙂");
});

Deno.test("Each class has its name, its cause and its advice", () => {
  const cause = new Error("Why");
  for (const [name, type] of Object.entries(errors)) {
    if (typeof type !== "function" || !(type.prototype instanceof MigrationError)) continue;
    const ErrorType = type as typeof MigrationError;
    const error = new ErrorType("It broke", { cause, advice: "Try again" });
    assertEquals([error.name, error.advice], [name, "Try again"]);
    assertStrictEquals(error.cause, cause);
    assert(error instanceof MigrationError && error instanceof Error);
    assertEquals("cause" in new ErrorType("It broke"), false);
  }
});

Deno.test("asMigrationError() keeps ours and wraps others", () => {
  const ours = new StreamFormatError("Bad byte");
  assertStrictEquals(asMigrationError(ours), ours);
  const other = asMigrationError(new RangeError("Too far"));
  assertEquals(other.message, "RangeError: Too far");
  assert(other.cause instanceof RangeError);
  assertEquals(asMigrationError("text").message, "text");
});
