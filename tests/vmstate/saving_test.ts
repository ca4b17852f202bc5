import { assertEquals, assertStrictEquals } from "@std/assert";
import { MigrationError, StateError } from "../../src/errors.ts";
import { messageOf, Saving } from "../../src/vmstate/saving.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";

function savingAt(...path: (string | number)[]): Saving {
  const saving = new Saving(new ByteWriter());
  for (const part of path) saving.path.enter(part);
  return saving;
}

Deno.test("Saving's errors say which field it was", () => {
  const saving = savingAt("room", ".players", 3);
  const [range, type] = [saving.rangeError("is 300"), saving.typeError("is null")];
  assertEquals([range.constructor, range.message], [RangeError, "room.players[3] is 300"]);
  assertEquals([type.constructor, type.message], [TypeError, "room.players[3] is null"]);
});

Deno.test("Saving.failed() lets through what is ours, and makes an error of whatever else", () => {
  const ours = new StateError("The room is closed");
  assertStrictEquals(savingAt("room").failed(".preSave()", ours), ours);
  for (const thrown of [new TypeError("oops"), "oops"]) {
    const failed = savingAt("room").failed(".preSave()", thrown);
    assertEquals(
      [failed.constructor, failed.what],
      [MigrationError, "room.preSave() failed: oops"],
    );
    assertStrictEquals(failed.cause, thrown);
  }
});

Deno.test("messageOf() has text for anything that can be thrown", () => {
  assertEquals(
    [new Error("a"), "b", 5, undefined, null].map(messageOf),
    ["a", "b", "5", "undefined", "null"],
  );
});
