import { assertEquals } from "@std/assert";
import { describedSizes } from "../../src/savevm/vm_description_sizes.ts";
import { readGolden, readGoldenManifest } from "../support/golden.ts";

function sizes(description: unknown): unknown {
  return describedSizes(new TextEncoder().encode(JSON.stringify(description)));
}

Deno.test("describedSizes() adds fields, arrays and subsections with their headers", () => {
  const device = {
    name: "timer",
    instance_id: 3,
    fields: [{ name: "a", size: 8 }, { name: "b", size: 4, array_len: 10 }, { name: "c" }],
    subsections: [{
      vmsd_name: "timer/é",
      fields: [{ size: 2 }],
      subsections: [{ vmsd_name: "x", fields: [{ size: 1 }] }],
    }],
  };
  const inner = 1 + 1 + 1 + 4 + 1;
  const outer = 1 + 1 + 8 + 4 + 2 + inner;
  assertEquals(sizes({ devices: [device] }), [
    { idstr: "timer", instanceId: 3, size: 8 + 40 + outer },
  ]);
});

Deno.test("describedSizes() decides nothing when there is nothing to decide by", () => {
  for (
    const description of [null, 5, [], {}, { devices: 5 }, { devices: "no" }, { devices: [null] }]
  ) {
    assertEquals(sizes(description), undefined);
  }
  assertEquals(describedSizes(new TextEncoder().encode("{")), undefined);
  assertEquals(describedSizes(new Uint8Array(0)), undefined);
  assertEquals(describedSizes(Uint8Array.of(0xff, 0xfe)), undefined);
});

Deno.test("describedSizes() decides nothing by sizes that are none", () => {
  for (const size of [-1, 1.5, "8", null, 1e300, {}]) {
    const devices = [{ name: "d", instance_id: 0, fields: [{ name: "f", size }] }];
    assertEquals(sizes({ devices }), undefined, JSON.stringify(size));
  }
  const deep = { vmsd_name: "s", fields: [] as unknown[], subsections: [] as unknown[] };
  for (let at = deep, i = 0; i < 50_000; i++) {
    const next = { vmsd_name: "s", fields: [], subsections: [] };
    at.subsections.push(next);
    at = next;
  }
  const text = `{"devices":[${'{"subsections":['.repeat(50_000)}`;
  assertEquals(describedSizes(new TextEncoder().encode(text)), undefined);
});

for (const name of ["none-10.0", "none-7.2", "pc-10.0", "pc-7.2"]) {
  Deno.test(`describedSizes() skips every device section of ${name}`, async () => {
    if (!(name in await readGoldenManifest())) return;
    const stream = await readGolden(name);
    const description = stream.lastIndexOf(0x06, stream.lastIndexOf(0x7b, findJson(stream)));
    const view = new DataView(stream.buffer);
    const length = view.getUint32(description + 1);
    assertEquals(description + 5 + length, stream.length);
    const found = describedSizes(stream.subarray(description + 5))!;
    // Backwards from the end: each section's footer stands where the sizes say.
    let end = description - 1;
    assertEquals(stream[end], 0);
    for (const { idstr, instanceId, size } of found.toReversed()) {
      const nameLength = new TextEncoder().encode(idstr).length;
      const start = end - 5 - size - 8 - nameLength - 6;
      assertEquals(stream[start], 4, idstr);
      assertEquals(stream[start + 5], nameLength);
      assertEquals(
        new TextDecoder().decode(stream.subarray(start + 6, start + 6 + nameLength)),
        idstr,
      );
      assertEquals(view.getUint32(start + 6 + nameLength), instanceId);
      assertEquals(stream[end - 5], 0x7e);
      assertEquals(view.getUint32(end - 4), view.getUint32(start + 1));
      end = start;
    }
  });
}

/** Where the text of the description begins: behind the last zero byte of the stream. */
function findJson(stream: Uint8Array): number {
  return stream.indexOf(0x7b, stream.lastIndexOf(0));
}
