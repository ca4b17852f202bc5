import { assertEquals } from "@std/assert";
import { StateError } from "../../src/errors.ts";
import { errorAnswer, QmpError } from "../../src/qmp/qmp_error.ts";

Deno.test("errorAnswer() keeps a refusal's class and words", () => {
  assertEquals(errorAnswer(new QmpError("no such thing", "DeviceNotFound")), {
    class: "DeviceNotFound",
    desc: "no such thing",
  });
});

Deno.test("errorAnswer() calls all else generic", () => {
  const failure = new StateError("not now", { place: { phase: "active" } });
  assertEquals(errorAnswer(failure), { class: "GenericError", desc: "not now (in active)" });
  assertEquals(errorAnswer(new TypeError("oops")), { class: "GenericError", desc: "oops" });
  assertEquals(errorAnswer("thrown"), { class: "GenericError", desc: "thrown" });
});
