import { assertEquals, assertThrows } from "@std/assert";
import { array } from "../../src/vmstate/arrays.ts";
import { uint8 } from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import { vmstate } from "../../src/vmstate/vmstate.ts";

const fields = { a: uint8() };

Deno.test("describe() refuses versions that contradict each other", () => {
  assertThrows(
    () => vmstate("d", { version: 1, minimumVersion: 2, fields }),
    RangeError,
    "d: minimumVersion 2 is above version 1",
  );
  assertThrows(() => vmstate("d", { version: -1, fields }), RangeError, "version is -1");
  assertThrows(() => vmstate("d", { version: 1.5, fields }), RangeError, "version is 1.5");
  assertThrows(
    () => vmstate("d", { version: 2, fields: { a: uint8({ since: 3 }) } }),
    RangeError,
    'd: "a" exists since version 3, and the version is 2',
  );
  vmstate("d", { version: 2, fields: { a: uint8({ since: 3, exists: () => true }) } });
});

Deno.test("describe() refuses names that the stream cannot hold", () => {
  assertThrows(() => vmstate("", { fields }), RangeError, "1 to 255 are possible");
  assertThrows(() => vmstate("é".repeat(128), { fields }), RangeError, "is 256 bytes long");
  assertEquals(vmstate("é".repeat(127), { fields }).name.length, 127);
});

Deno.test("describe() refuses a subsection that would not be found", () => {
  const named = (name: string) => vmstate(name, { fields });
  assertThrows(
    () => vmstate("d", { fields, subsections: [named("e/x")] }),
    RangeError,
    'A subsection of d is called "e/x", not "d/…"',
  );
  assertThrows(() => vmstate("d", { fields, subsections: [named("d")] }), RangeError);
  assertThrows(
    () => vmstate("d", { fields, subsections: [named("d/x"), named("d/x")] }),
    RangeError,
    'd has two subsections called "d/x"',
  );
  // QEMU's keyboard controller has one that is called pckbd_outport.
  vmstate("d", { fields, subsections: [named("d_x")] });
});

Deno.test("describe() refuses names whose order an object does not keep", () => {
  assertThrows(
    () => vmstate("d", { fields: { b: uint8(), "7": uint8() } }),
    RangeError,
    'd: "7" is a number',
  );
});

Deno.test("describe() finds out which arrays need one description only", () => {
  const plain = vmstate("plain", { fields });
  const asks = vmstate("asks", { fields: { a: uint8({ exists: () => true }) } });
  const extra = vmstate("extended/extra", { fields });
  const extended = vmstate("extended", { fields, subsections: [extra] });
  const around = vmstate("around", { fields: { inner: struct(asks) } });
  const compressible = (description: typeof plain) =>
    vmstate("d", { fields: { all: array(struct(description), 2) } }).plan.fields[0]!.compressible;
  assertEquals([plain, asks, extended].map(compressible), [true, false, false]);
  const nested = vmstate("d", { fields: { all: array(struct(around), 2) } });
  assertEquals(nested.plan.fields[0]!.compressible, false);
});
