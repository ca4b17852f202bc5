import { assert, assertEquals, assertThrows } from "@std/assert";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineDirtying } from "../../src/control/machine_dirtying.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { StateError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { Pair, settings } from "./fixtures/pair.ts";

Deno.test("A migration interrupts what measures, and every page is right", async () => {
  await using pair = await Pair.create({ blocks: { ram: 1024 }, vcpus: ["beat,rate=50M"] });
  await using dirtying = new MachineDirtying(pair.source);
  dirtying.limiter.set(20);
  assertThrows(
    () => dirtying.rate.calculate({ calcTime: 50, mode: "dirty-bitmap", samplePages: 512 }),
    StateError,
    "in use",
  );
  const incoming = new IncomingMigration(new MachineTarget(pair.destination), {
    uri: parseUri("tcp:127.0.0.1:0"),
    ...settings(),
  });
  const outgoing = new OutgoingMigration(dirtying.source(), {
    uri: await incoming.listening,
    ...settings(),
  });
  await outgoing.completed;
  await incoming.completed;
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.destination), undefined);
  // The limit is still there; the machine is not.
  assertEquals(dirtying.limiter.query().length, 1);
  assert(!pair.source.running);
});
