import { assert, assertEquals } from "@std/assert";
import { configurationJson } from "../../src/control/configuration_json.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { Machine } from "../../src/machine/machine.ts";
import { uint32, vmstate } from "../../src/vmstate/mod.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { ElementType, readFullSectionHeader, readSectionFooter } from "../../src/wire/section.ts";
import { Pair } from "./fixtures/pair.ts";
import "../support/load_libc.ts";

Deno.test("MachineSource says what is moved", async () => {
  await using pair = await Pair.create({ blocks: { low: 1, high: 40 } });
  const source = new MachineSource(pair.source);
  assertEquals(source.configuration, { machine: "pair" });
  assertEquals(source.blocks, [{ name: "low", length: 4096 }, { name: "high", length: 163_840 }]);
  assert(source.running && source.sendsSwitchoverStart);
  assertEquals(source.blockers, []);
  assert(source.ramSectionId > 0);
  source.markAllDirty();
  assertEquals(source.ram.blocks.map((block) => block.dirty.count()), [1, 40]);
});

for (const before of ["running", "paused", "prelaunch"] as const) {
  Deno.test(`MachineSource.runOn() makes the machine ${before} again`, async () => {
    await using machine = await Machine.create({ name: "m", ram: { ram: 4096 } });
    if (before !== "prelaunch") await machine.start();
    if (before === "paused") await machine.stop("paused");
    const source = new MachineSource(machine);
    await source.stop();
    assertEquals(machine.runState, "finish-migrate");
    await source.runOn();
    assertEquals(machine.runState, before);
    // Only what was stopped for the migration is started again.
    await source.runOn();
    assertEquals(machine.runState, before);
  });
}

Deno.test("MachineSource.handedOver() leaves a machine that ran elsewhere, and can be moved again", async () => {
  await using machine = await Machine.create({ name: "m", ram: { ram: 4096 } });
  await machine.start();
  const source = new MachineSource(machine);
  await source.stop();
  await source.handedOver();
  assertEquals(machine.runState, "postmigrate");
});

Deno.test("MachineSource.saveDevices() writes each section as the description at the end says", async () => {
  const counter = { value: 7 };
  const description = vmstate("counter", { fields: { value: uint32() } });
  await using machine = await Machine.create({
    name: "m",
    ram: { ram: 64 * 4096 },
    vcpus: ["beat"],
    devices: [{ description, instance: counter }],
  });
  await machine.start();
  const source = new MachineSource(machine);
  await source.stop();
  const writer = new ByteWriter();
  const json = JSON.parse(
    new TextDecoder().decode(source.saveDevices(writer, source.configuration)),
  );
  assertEquals(json.page_size, 4096);
  assertEquals(json.configuration, configurationJson(source.configuration));
  const reader = ByteReader.of(writer.take());
  const names: string[] = [];
  while (!await reader.atEnd()) {
    assertEquals(await reader.u8("type"), ElementType.SECTION_FULL);
    const header = await readFullSectionHeader(reader, ElementType.SECTION_FULL);
    const { size, fields } = json.devices[names.length];
    const sum = fields.reduce((sum: number, field: { size: number }) => sum + field.size, 0);
    await reader.skip(size ?? sum, "payload");
    await readSectionFooter(reader, header.sectionId, header.idstr);
    names.push(header.idstr);
  }
  assertEquals(names, ["globalstate", "vcpu", "counter"]);
  assertEquals(json.devices.map(({ name }: { name: string }) => name), names);
});

Deno.test("MachineSource.startDirtyLog() watches the guest, and stopDirtyLog() ends that", async () => {
  for (const kind of ["kernel", "barrier", "hash"] as const) {
    await using machine = await Machine.create({
      name: "m",
      ram: { ram: 64 * 4096 },
      vcpus: ["beat"],
    });
    await machine.start();
    const source = new MachineSource(machine, kind);
    let choice;
    try {
      choice = await source.startDirtyLog();
    } catch (error) {
      // Not every host has the kernel's.
      assert(kind === "kernel", String(error));
      continue;
    }
    assertEquals(choice.log.kind, kind);
    assertEquals(machine.vcpus[0]!.order.marks, kind === "barrier");
    for (const block of source.ram.blocks) block.dirty.fill(0, block.pageCount, false);
    const { steps } = machine.counters;
    while (machine.counters.steps === steps) await new Promise((resolve) => setTimeout(resolve, 1));
    await source.stop();
    assert(await choice.log.sync() > 0, kind);
    await source.stopDirtyLog();
    await source.stopDirtyLog();
    assertEquals(machine.vcpus[0]!.order.marks, false);
  }
});
