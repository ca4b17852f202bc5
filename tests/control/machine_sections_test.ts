import { assertEquals, assertThrows } from "@std/assert";
import { machineSections } from "../../src/control/machine_sections.ts";
import { Machine } from "../../src/machine/machine.ts";
import { uint32, vmstate } from "../../src/vmstate/mod.ts";

Deno.test("machineSections() has RAM, run state, vCPUs and devices, in that order", async () => {
  const description = vmstate("counter", { fields: { value: uint32() } });
  await using machine = await Machine.create({
    name: "m",
    ram: { ram: 4096 },
    vcpus: ["beat", "beat"],
    devices: [
      { description, instance: { value: 1 } },
      { description, instance: { value: 2 } },
      { description, instance: { value: 3 }, instanceId: 7 },
    ],
  });
  const { registry, ramSectionId, vcpus } = machineSections(machine, () => "paused");
  assertEquals(
    registry.sections.map(({ idstr, instanceId }) => `${idstr}/${instanceId}`),
    ["ram/0", "globalstate/0", "vcpu/0", "vcpu/1", "counter/0", "counter/1", "counter/7"],
  );
  assertEquals(registry.live.map(({ sectionId }) => sectionId), [ramSectionId]);
  assertEquals(vcpus.map(({ instanceId }) => instanceId), [0, 1]);
});

Deno.test("machineSections() refuses a description that is none", async () => {
  await using machine = await Machine.create({
    name: "m",
    ram: { ram: 4096 },
    devices: [{ description: { name: "fake" }, instance: {} }],
  });
  assertThrows(() => machineSections(machine, () => "running"), TypeError, "fake");
});
