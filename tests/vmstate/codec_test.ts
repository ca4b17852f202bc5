import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MigrationError, StreamFormatError } from "../../src/errors.ts";
import { array, varray } from "../../src/vmstate/arrays.ts";
import { type Codec, custom } from "../../src/vmstate/codec.ts";
import { uint8 } from "../../src/vmstate/scalars.ts";
import { vmstate } from "../../src/vmstate/vmstate.ts";
import { described, load, saved } from "./hex.ts";

/** A counted string, as QEMU sends the names of capabilities. */
const name: Codec<string> = {
  type: "capability",
  create: () => "",
  save(writer, value) {
    if (value === "unsendable") throw new Error("This one cannot be sent");
    writer.countedString(value);
  },
  async load(reader, _current, path) {
    const value = await reader.countedString(path);
    if (value === "") throw new Error("No name is empty");
    return value;
  },
};

Deno.test("custom() is what its codec makes of it", async () => {
  const description = vmstate("c", { fields: { name: custom(name), end: uint8() } });
  assertEquals(saved(description, { name: "ab", end: 1 }), "02616201");
  assertEquals(described(description, { name: "ab", end: 1 }).fields[0], {
    name: "name",
    type: "capability",
    size: 3,
  });
  assertEquals(await load(description, "0163 02", { name: "", end: 0 }), { name: "c", end: 2 });
});

Deno.test("custom() can be the element of arrays", async () => {
  const description = vmstate("c", {
    fields: {
      two: array(custom(name), 2),
      count: uint8(),
      some: varray(custom(name), { count: "count", max: 2 }),
    },
  });
  const state = { two: ["a", "b"], count: 1, some: ["c"] };
  assertEquals(saved(description, state), "0161" + "0162" + "01" + "0163");
  assertEquals(await load(description, "016101620101 63", description.create()), state);
});

Deno.test("custom() fills what is there if its codec does", async () => {
  const inPlace: Codec<number[]> = {
    type: "pair",
    size: 2,
    save: (writer, [a, b]) => void writer.u8(a!).u8(b!),
    async load(reader, current, path) {
      current[0] = await reader.u8(path);
      current[1] = await reader.u8(path);
      return current;
    },
  };
  const description = vmstate("c", { fields: { pair: custom(inPlace) } });
  const pair = [0, 0];
  const state = Object.freeze({ pair });
  await load(description, "0506", state);
  assertEquals(pair, [5, 6]);
});

Deno.test("custom() adds the place to what its codec throws", async () => {
  const description = vmstate("c", { fields: { names: array(custom(name), 2) } });
  assertThrows(
    () => saved(description, { names: ["a", "unsendable"] }),
    MigrationError,
    "c.names[1] failed: This one cannot be sent",
  );
  await assertRejects(
    () => load(description, "016100", { names: ["", ""] }),
    MigrationError,
    "c.names[1] failed: No name is empty (at offset 0x3)",
  );
  await assertRejects(
    () => load(description, "0161" + "01ff", { names: ["", ""] }),
    StreamFormatError,
    "c.names[1] is not text",
  );
});
