import { assertEquals, assertThrows } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import {
  type CarriedSection,
  MachineImage,
  writeCarriedSection,
} from "../../src/image/machine_image.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { ElementType } from "../../src/wire/section.ts";

function imageOf(sections: readonly CarriedSection[]): MachineImage {
  const image = MachineImage.create({ machine: "pc" }, [{ name: "pc.ram", length: 8192 }], 2);
  image.sections.push(...sections);
  return image;
}

function section(sectionId: number, idstr: string, payload: Uint8Array<ArrayBuffer>) {
  return {
    header: {
      type: ElementType.SECTION_FULL,
      sectionId,
      idstr,
      instanceId: sectionId * 3,
      versionId: 4,
    },
    payload,
  } as const;
}

function bytesOf(sections: readonly CarriedSection[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  for (const each of sections) writeCarriedSection(writer, each);
  return writer.take();
}

/** A description that gives these sizes. */
function describing(...sizes: readonly number[]): Uint8Array {
  const devices = sizes.map((size, i) => ({
    name: `device ${i}`,
    instance_id: 0,
    fields: [{ name: "data", size }],
  }));
  return new TextEncoder().encode(JSON.stringify({ devices }));
}

const SERIAL = section(5, "serial", new Uint8Array(10).fill(1));
const TIMER = section(6, "timer é", new Uint8Array(0));
/** A clock whose state looks like three sections: its own footer stands in it, and whole headers. */
const LOOKALIKES = [
  section(9, "clock", Uint8Array.of(1, 2, 3)),
  section(10, "A", new Uint8Array(0)),
  section(9, "clock", Uint8Array.of(4)),
] as const;
const FOOTER_LENGTH = 5;
const CLOCK = section(
  9,
  "clock",
  bytesOf(LOOKALIKES).slice(6 + "clock".length + 8, -FOOTER_LENGTH),
);

Deno.test("MachineImage.create() has RAM of the stream's blocks and page, all of it zeros", () => {
  const blocks = [{ name: "pc.ram", length: 131072 }, { name: "rom", length: 65536 }];
  const image = MachineImage.create({ machine: "virt", targetPageBits: 16 }, blocks, 7);
  assertEquals([image.ram.pageSize, image.ram.blocks[0]!.pageCount], [65536, 2]);
  assertEquals(image.ram.blocks.map(({ name }) => name), ["pc.ram", "rom"]);
  assertEquals(image.ram.blocks.map((block) => block.received.count()), [0, 0]);
  assertEquals([image.ramSectionId, image.blocks], [7, blocks]);
  assertEquals(MachineImage.create({ machine: "pc" }, blocks, 2).ram.pageSize, 4096);
});

Deno.test("MachineImage.create() refuses what this host has no room for", () => {
  assertThrows(
    () => MachineImage.create({ machine: "pc" }, [{ name: "pc.ram", length: 2 ** 52 }], 2),
    IncompatibleError,
    `no room for ${2 ** 52} bytes`,
  );
});

Deno.test("MachineImage.finish() keeps sections that the description confirms", () => {
  const image = imageOf([SERIAL, TIMER, CLOCK]);
  const description = describing(10, 0, CLOCK.payload.length);
  image.finish(description);
  assertEquals(image.sections, [SERIAL, TIMER, CLOCK]);
  assertEquals(image.description, description);
});

Deno.test("MachineImage.finish() cuts sections again where bytes only looked like a footer", () => {
  const image = imageOf([SERIAL, ...LOOKALIKES, TIMER]);
  image.finish(describing(10, CLOCK.payload.length, 0));
  assertEquals(image.sections, [SERIAL, CLOCK, TIMER]);
});

Deno.test("MachineImage.finish() cuts sections again where a footer was overlooked", () => {
  const image = imageOf([CLOCK, TIMER]);
  image.finish(describing(3, 0, 1, 0));
  assertEquals(image.sections, [...LOOKALIKES, TIMER]);
});

Deno.test("MachineImage.finish() takes any sections when there is no description, or one that says nothing", () => {
  for (const description of [undefined, new Uint8Array(0), new TextEncoder().encode("{}")]) {
    const image = imageOf(LOOKALIKES);
    image.finish(description);
    assertEquals(image.sections, [...LOOKALIKES]);
    assertEquals(image.description, description ?? new Uint8Array(0));
  }
});

Deno.test("MachineImage.finish() refuses sections that fit the description neither way", () => {
  const whole = bytesOf([SERIAL, TIMER]).length;
  const descriptions = [
    [10],
    [10, 1],
    [9, 0],
    [10, 0, 0],
    [whole, 0],
    [Number.MAX_SAFE_INTEGER, 0],
    [10, Number.MAX_SAFE_INTEGER],
    [],
  ];
  for (const sizes of descriptions) {
    const image = imageOf([SERIAL, TIMER]);
    assertThrows(
      () => image.finish(describing(...sizes)),
      StreamFormatError,
      "does not fit the description",
      `${sizes}`,
    );
    assertEquals(image.sections, [SERIAL, TIMER], "what was received is still there");
  }
});
