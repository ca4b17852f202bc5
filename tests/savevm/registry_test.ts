import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { type PlainHandler, SectionRegistry } from "../../src/savevm/registry.ts";
import { uint16, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { MigrationPriority, vmstate, vmstateOf } from "../../src/vmstate/vmstate.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";

const counter = vmstate("counter", {
  version: 3,
  minimumVersion: 2,
  fields: { value: uint32() },
});

function plain(): PlainHandler & { bytes: number[] } {
  return {
    versionId: 4,
    bytes: [1, 2, 3],
    save(writer) {
      writer.bytes(Uint8Array.from(this.bytes));
    },
    async load(reader) {
      this.bytes = [...await reader.bytes(3, 3, "the bytes")];
    },
  };
}

/** What a live section's handler is here: the registry only keeps it. */
interface Live {
  readonly setup: string;
}

Deno.test("SectionRegistry.register() saves, describes and loads the instance", async () => {
  const registry = new SectionRegistry();
  const state = { value: 7 };
  const section = registry.register(counter, state);
  assertEquals([section.idstr, section.instanceId, section.versionId], ["counter", 0, 3]);
  const writer = new ByteWriter();
  assertEquals(section.save(writer), {
    name: "counter",
    instance_id: 0,
    vmsd_name: "counter",
    version: 3,
    fields: [{ name: "value", type: "uint32", size: 4 }],
  });
  assertEquals([...writer.take()], [0, 0, 0, 7]);
  await section.load(ByteReader.of(Uint8Array.of(0, 0, 1, 0)), 2);
  assertEquals(state, { value: 256 });
  await assertRejects(
    () => section.load(ByteReader.of(new Uint8Array(4)), 1),
    IncompatibleError,
    "counter has version 1",
  );
});

Deno.test("SectionRegistry.registerPlain() describes one buffer", async () => {
  const registry = new SectionRegistry();
  const handler = plain();
  const section = registry.registerPlain("old", handler);
  const writer = new ByteWriter().u8(9);
  assertEquals(section.save(writer), {
    name: "old",
    instance_id: 0,
    size: 3,
    fields: [{ name: "data", size: 3, type: "buffer" }],
  });
  await section.load(ByteReader.of(Uint8Array.of(7, 8, 9)), 4);
  assertEquals(handler.bytes, [7, 8, 9]);
  assertEquals([section.needed(), section.unplugPending(), section.early], [true, false, false]);
});

Deno.test("SectionRegistry orders by priority, then by registration, devices among live ones", () => {
  const registry = new SectionRegistry<Live>();
  const device = (name: string, priority: number) =>
    registry.register(vmstate(name, { priority, fields: { a: uint8() } }), { a: 0 });
  device("a", MigrationPriority.DEFAULT);
  device("b", MigrationPriority.IOMMU);
  registry.registerLive("ram", { setup: "all blocks" }, { versionId: 4 });
  device("c", MigrationPriority.DEFAULT);
  device("d", MigrationPriority.GICV3);
  device("e", MigrationPriority.IOMMU);
  const names = (sections: readonly { idstr: string }[]) =>
    sections.map(({ idstr }) => idstr).join("");
  assertEquals(names(registry.sections), "dbearamc");
  assertEquals(names(registry.devices), "dbeac");
  assertEquals(registry.live.map(({ handler }) => handler.setup), ["all blocks"]);
});

Deno.test("SectionRegistry numbers sections from 1 in the order of registration", () => {
  const registry = new SectionRegistry<Live>();
  const a = registry.registerLive("ram", { setup: "" }, { versionId: 4 });
  const b = registry.register(counter, { value: 0 });
  assertEquals([a.sectionId, b.sectionId], [1, 2]);
  registry.unregister(b);
  assertEquals(registry.find("counter", 0), undefined);
  assertEquals(registry.register(counter, { value: 0 }).sectionId, 3, "ids are not used again");
});

Deno.test("SectionRegistry chooses instance numbers, and takes those it is given", () => {
  const registry = new SectionRegistry();
  const add = (instanceId?: number) =>
    registry.register(counter, { value: 0 }, instanceId === undefined ? {} : { instanceId });
  assertEquals([add(), add(), add(7), add()].map(({ instanceId }) => instanceId), [0, 1, 7, 8]);
});

Deno.test("SectionRegistry refuses what could not be told apart", () => {
  const registry = new SectionRegistry();
  registry.register(counter, { value: 0 }, { instanceId: 3, aliasId: 9 });
  for (const instanceId of [3, 9]) {
    assertThrows(
      () => registry.register(counter, { value: 0 }, { instanceId }),
      RangeError,
      `There is a section "counter" instance ${instanceId} already`,
    );
  }
  assertEquals(registry.sections.length, 1);
});

Deno.test("SectionRegistry refuses names and numbers that the stream cannot hold", () => {
  const registry = new SectionRegistry();
  assertThrows(
    () => registry.register(counter, { value: 0 }, { path: "x".repeat(248) }),
    RangeError,
    "of 256 bytes",
  );
  assertThrows(() => registry.registerPlain("", plain()), RangeError, "of 0 bytes");
  for (const instanceId of [-1, 0.5, 2 ** 32 - 1]) {
    assertThrows(() => registry.register(counter, { value: 0 }, { instanceId }), RangeError);
  }
});

Deno.test("SectionRegistry.register() with a path is found by the bare name, too", () => {
  const registry = new SectionRegistry();
  const first = registry.register(counter, { value: 0 }, { path: "0000:00:02.0" });
  const second = registry.register(counter, { value: 0 }, { path: "0000:00:03.0" });
  const fixed = registry.register(counter, { value: 0 }, { path: "0000:00:04.0", instanceId: 5 });
  assertEquals(first.idstr, "0000:00:02.0/counter");
  assertEquals([first, second, fixed].map(({ instanceId }) => instanceId), [0, 0, 0]);
  assertEquals(registry.find("0000:00:03.0/counter", 0), second);
  assertEquals(registry.find("counter", 0), first);
  assertEquals(registry.find("counter", 1), second);
  assertEquals(registry.find("counter", 5), fixed);
  assertEquals(registry.find("counter", 2), undefined);
  assertEquals(registry.find("counte", 0), undefined);
});

Deno.test("SectionRegistry.find() takes aliases under both names", () => {
  const registry = new SectionRegistry();
  const section = registry.register(counter, { value: 0 }, { path: "a", aliasId: 6 });
  assertEquals(registry.find("a/counter", 6), section);
  assertEquals(registry.find("counter", 6), section);
  assertEquals(registry.find("counter", 0xffffffff), undefined, "no alias is no number");
});

Deno.test("SectionRegistry.find() takes a compat name only if it is a part of the name", () => {
  const registry = new SectionRegistry();
  const related = registry.registerPlain("new/disk", plain(), {
    compat: { idstr: "disk", instanceId: 2 },
  });
  registry.registerPlain("other", plain(), { compat: { idstr: "disc", instanceId: 0 } });
  assertEquals(registry.find("disk", 2), related);
  assertEquals(registry.find("disc", 0), undefined);
});

Deno.test("SectionRegistry.accept() refuses sections and versions it does not know", () => {
  const registry = new SectionRegistry<Live>();
  const device = registry.register(counter, { value: 0 });
  const ram = registry.registerLive("ram", { setup: "" }, { versionId: 4 });
  const accept = (idstr: string, versionId: number, instanceId = 0) =>
    registry.accept({ idstr, instanceId, versionId });
  assertEquals(accept("counter", 3), device);
  assertEquals(accept("counter", 2), device);
  assertEquals(accept("ram", 4), ram);
  const unknown = assertThrows(
    () => accept("counter", 3, 1),
    IncompatibleError,
    'This machine has no section "counter" instance 1 (section counter/1)',
  );
  assertEquals((unknown as IncompatibleError).advice?.includes("hotplugged"), true);
  for (
    const [idstr, version] of [["counter", 4], ["counter", 1], ["ram", 5], ["ram", 3]] as const
  ) {
    assertThrows(
      () => accept(idstr, version),
      IncompatibleError,
      `Section ${idstr} has version ${version}; `,
    );
  }
});

Deno.test("SectionRegistry.blockers names the devices that cannot be migrated", () => {
  const registry = new SectionRegistry();
  const fields = { a: uint8() };
  registry.register(vmstate("fine", { fields }), { a: 0 });
  registry.register(vmstate("bolted", { unmigratable: true, fields }), { a: 0 }, { path: "x" });
  const glued = registry.register(
    vmstate("glued", { unmigratable: "its host has the only key", fields }),
    { a: 0 },
  );
  assertEquals(registry.blockers, [
    "Device x/bolted cannot be migrated",
    "Device glued cannot be migrated: its host has the only key",
  ]);
  registry.unregister(glued);
  assertEquals(registry.blockers.length, 1);
});

Deno.test("A device section asks its description what the state says now", () => {
  interface Card {
    level: number;
  }
  const card = vmstateOf<Card>("card", {
    earlySetup: true,
    needed: ({ level }) => level > 0,
    devUnplugPending: ({ level }) => level > 1,
    fields: { level: uint16() },
  });
  const registry = new SectionRegistry();
  const state = { level: 0 };
  const section = registry.register(card, state);
  const asked = () => [section.early, section.needed(), section.unplugPending()];
  assertEquals(asked(), [true, false, false]);
  state.level = 2;
  assertEquals(asked(), [true, true, true]);
});

Deno.test("A device section passes on what loading refuses, with the field's path", async () => {
  const registry = new SectionRegistry();
  const ring = vmstate("ring", {
    fields: { n: uint8() },
    postLoad({ n }) {
      if (n > 4) throw new StreamFormatError("ring.n is too large");
    },
  });
  const section = registry.register(ring, { n: 0 });
  await assertRejects(
    () => section.load(ByteReader.of(Uint8Array.of(5)), 1),
    StreamFormatError,
    "ring.n is too large (at offset 0x1)",
  );
});
