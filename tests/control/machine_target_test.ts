import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { IncompatibleError, MigrationError, StateError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { LoadContext } from "../../src/savevm/load.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { ElementType, type FullSectionHeader } from "../../src/wire/section.ts";
import "../support/load_libc.ts";

const BLOCKS = [{ name: "ram", length: 4096 }];
const NO_DESCRIPTION = Promise.resolve(undefined);

function header(idstr: string, changes: Partial<FullSectionHeader> = {}): FullSectionHeader {
  return {
    type: ElementType.SECTION_FULL,
    sectionId: 9,
    idstr,
    instanceId: 0,
    versionId: 1,
    ...changes,
  };
}

async function prepared(): Promise<{ machine: Machine; target: MachineTarget }> {
  const machine = await Machine.create({ name: "m", ram: { ram: 4096 } });
  const target = new MachineTarget(machine);
  target.configuration({ machine: "m" });
  await target.prepareRam(BLOCKS, 1);
  return { machine, target };
}

async function load(target: MachineTarget, idstr: string, payload: Uint8Array): Promise<void> {
  const unused = new LoadContext({
    configuration: () => {},
    section: () => assertThrows(() => {}) as never,
    command: () => Promise.resolve("continue"),
  });
  await target.section(header(idstr)).load(ByteReader.of(payload), "full", unused);
}

function runState(name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  return new ByteWriter().be32(bytes.length + 1).bytes(bytes).zeros(100 - bytes.length).take();
}

Deno.test("MachineTarget.configuration() wants the same machine with the same pages", async () => {
  await using machine = await Machine.create({ name: "m", ram: { ram: 4096 } });
  const target = new MachineTarget(machine);
  assertThrows(() => target.configuration({ machine: "n" }), IncompatibleError, '"n"');
  assertThrows(
    () => target.configuration({ machine: "m", targetPageBits: 10 }),
    IncompatibleError,
    "Pages of 1024 bytes there and of 4096 here",
  );
  target.configuration({ machine: "m", targetPageBits: 12 });
  target.configuration({ machine: "m" });
});

Deno.test("MachineTarget.prepareRam() stops the machine and forgets what was received", async () => {
  await using machine = await Machine.create({ name: "m", ram: { ram: 4096 } });
  machine.ram.blocks[0]!.received.add(0);
  const target = new MachineTarget(machine);
  target.configuration({ machine: "m" });
  assertEquals(await target.prepareRam(BLOCKS, 1), machine.ram);
  assertEquals(machine.runState, "inmigrate");
  assertEquals(machine.ram.blocks[0]!.received.count(), 0);
});

Deno.test("MachineTarget.section() refuses what this machine does not have", async () => {
  const { machine, target } = await prepared();
  await using _ = machine;
  assertThrows(() => target.section(header("vga")), IncompatibleError, '"vga"');
  assertThrows(() => target.section(header("globalstate", { instanceId: 4 })), IncompatibleError);
  assertThrows(
    () => target.section(header("globalstate", { versionId: 2 })),
    IncompatibleError,
    "version 2",
  );
  assertThrows(() => target.section(header("ram", { versionId: 4 })), IncompatibleError, "itself");
});

Deno.test("MachineTarget.section() refuses device state before RAM", async () => {
  await using machine = await Machine.create({ name: "m", ram: { ram: 4096 } });
  const target = new MachineTarget(machine);
  target.configuration({ machine: "m" });
  assertThrows(() => target.section(header("globalstate")), StateError, "before the RAM");
});

for (const [state, runs] of [["running", true], ["paused", false], ["prelaunch", false]] as const) {
  Deno.test(`MachineTarget.complete() makes the machine ${state}, as it was there`, async () => {
    const { machine, target } = await prepared();
    await using _ = machine;
    await load(target, "globalstate", runState(state));
    let takenOver = 0;
    assertEquals(await target.complete(NO_DESCRIPTION, () => takenOver++), runs);
    assertEquals(machine.runState, state);
    assertEquals(takenOver, Number(runs));
  });
}

Deno.test("MachineTarget.complete() runs nothing when it may not take over", async () => {
  const { machine, target } = await prepared();
  await using _ = machine;
  await assertRejects(
    () =>
      target.complete(NO_DESCRIPTION, () => {
        throw new StateError("Cancelled meanwhile");
      }),
    StateError,
  );
  assertEquals(machine.runState, "inmigrate");
});

Deno.test("MachineTarget.complete() refuses a run state that no arriving machine can have", async () => {
  const { machine, target } = await prepared();
  await using _ = machine;
  await load(target, "globalstate", runState("save-vm"));
  await assertRejects(() => target.complete(NO_DESCRIPTION, () => {}), StateError, "save-vm");
  assertEquals(machine.runState, "inmigrate");
});

Deno.test("A vCPU's state of absurd length is refused before memory is taken for it", async () => {
  await using machine = await Machine.create({ name: "m", ram: { ram: 4096 }, vcpus: ["beat"] });
  const target = new MachineTarget(machine);
  target.configuration({ machine: "m" });
  await target.prepareRam(BLOCKS, 1);
  await assertRejects(
    () => load(target, "vcpu", new ByteWriter().be32(0xffffffff).take()),
    MigrationError,
    "4294967295 bytes",
  );
  await assertRejects(() =>
    load(target, "vcpu", new ByteWriter().be32(3).bytes(new Uint8Array(3)).take())
  );
  await assertRejects(() => target.complete(NO_DESCRIPTION, () => {}), IncompatibleError, "vCPU 0");
});
