import { assertEquals, assertRejects } from "@std/assert";
import { StateError } from "../../../src/errors.ts";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { Machine } from "../../../src/machine/machine.ts";
import { digestBlocks } from "../../../src/machine/verify/digest_blocks.ts";
import { digestRam, verifyRam } from "../../../src/machine/verify/ram_check.ts";
import { until } from "../fixtures/until.ts";
import { createMachine, fixture } from "../fixtures/small_machine.ts";

const PAGE = 4096;

/** A machine that two built-in guests have worked on and that stands still. */
async function pausedMachine(): Promise<Machine> {
  const machine = await Machine.create({
    name: "check",
    ram: { heap: 300 * PAGE, extra: 7 * PAGE },
    vcpus: ["beat,rate=max", "stress,rate=max"],
  });
  await machine.start();
  await until(() => machine.vcpus.every((vcpu) => vcpu.counters.pages > 1000));
  await machine.stop();
  return machine;
}

Deno.test("verifyRam() finds nothing wrong with a paused machine, and names a byte that is", async () => {
  await using machine = await pausedMachine();
  assertEquals(await verifyRam(machine), undefined);
  const bytes = machine.ram.block("extra")!.view(0, 7 * PAGE);
  bytes[6 * PAGE + 100]! ^= 1;
  const wrong = await verifyRam(machine);
  assertEquals([wrong?.block, wrong?.page], ["extra", 6]);
  bytes[6 * PAGE + 100]! ^= 1;
  assertEquals(await verifyRam(machine), undefined);
});

Deno.test("verifyRam() refuses a machine that runs, and guests whose pages it does not know", async () => {
  await using running = await createMachine(["beat"]);
  await running.start();
  await assertRejects(() => verifyRam(running), StateError);
  await using unknown = await createMachine([fixture("counting_guest")]);
  await assertRejects(() => verifyRam(unknown), StateError, "counting_guest.ts");
});

Deno.test("digestRam() is digestBlocks() in another thread", async () => {
  const ram = GuestRam.create([{ name: "a", length: 5 * PAGE }, { name: "b", length: PAGE }]);
  ram.blocks[0]!.view(0, 5 * PAGE).fill(7);
  assertEquals(await digestRam(ram), digestBlocks(ram));
});
