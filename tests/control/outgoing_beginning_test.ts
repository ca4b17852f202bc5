import { assert, assertEquals, assertRejects } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { PING_OPENED, writeBeginning } from "../../src/control/outgoing_beginning.ts";
import { OutgoingLink } from "../../src/control/outgoing_link.ts";
import { OutgoingStatistics } from "../../src/control/outgoing_statistics.ts";
import { MigratableMachine } from "../../src/control/migratable_machine.ts";
import { CancelledError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { bool, vmstate } from "../../src/vmstate/mod.ts";
import { until } from "../machine/fixtures/until.ts";
import { settings } from "./fixtures/pair.ts";
import { ScriptedDestination } from "./fixtures/scripted_destination.ts";

const HEADER = "5145564d 00000003";
const OPEN_RETURN_PATH = "0800010000";
const PING = `0800020004 ${PING_OPENED.toString(16).padStart(8, "0")}`;
const ADVISE = "0800030010 0000000000001000 0000000000001000";

for (
  const [capabilities, commands] of [
    [{ "return-path": false }, ""],
    [{}, OPEN_RETURN_PATH + PING],
    [{ "postcopy-ram": true }, OPEN_RETURN_PATH + PING + ADVISE],
  ] as const
) {
  Deno.test(`A stream begins with what its capabilities need: ${JSON.stringify(capabilities)}`, async () => {
    await using machine = await Machine.create({ name: "beginner", ram: { ram: 4096 } });
    using destination = new ScriptedDestination();
    const source = new MachineSource(machine);
    const set = settings(capabilities);
    await using link = new OutgoingLink({
      ...{ uri: parseUri(destination.uri), machine: source, ...set },
      statistics: new OutgoingStatistics(machine.ram),
      allSent: () => false,
    });
    await link.connect();
    await link.start({ encoder: { detectZero: true }, recovering: false });
    writeBeginning(link, source, set.capabilities);
    // A mark of the test's own: nothing else comes before it.
    link.stream.writer.bytes(new TextEncoder().encode("mark"));
    await link.stream.flush(link.trouble.check);
    const connection = await destination.accept();
    const mark = new TextEncoder().encode("mark").toHex();
    await connection.sees(mark);
    const hex = connection.received.toHex();
    const name = new TextEncoder().encode("beginner").toHex();
    assertEquals(hex.startsWith(HEADER.replaceAll(" ", "")), true, hex);
    assertEquals(hex.includes(name), true, hex);
    const rest = hex.slice(hex.lastIndexOf(name) + name.length);
    assertEquals(rest.endsWith(commands.replaceAll(" ", "") + mark), true, hex);
    assertEquals(rest.includes(OPEN_RETURN_PATH), commands !== "", hex);
    assertEquals(rest.includes(ADVISE.replaceAll(" ", "")), commands.includes(ADVISE), hex);
  });
}

/** A machine whose guest has a device that cannot move, if it is held. */
async function withDevice(held: boolean) {
  const instance = { held };
  const description = vmstate("nic", {
    fields: { held: bool() },
    devUnplugPending: (nic) => nic.held,
  });
  const options = { name: "m", ram: { ram: 65536 }, devices: [{ description, instance }] };
  return { instance, machine: await MigratableMachine.create(options) };
}

for (const given of [true, false]) {
  Deno.test(`A migration waits until the guest has given a device back, and ${given ? "goes on" : "can be cancelled"}`, async () => {
    const { instance, machine: here } = await withDevice(true);
    const { machine: there } = await withDevice(false);
    await using _here = here;
    await using _there = there;
    await here.start();
    const incoming = there.incoming("tcp:127.0.0.1:0");
    const statuses: string[] = [];
    const migration = here.migrate(formatUri(await incoming.listening), {
      onEvent: (event) =>
        "data" in event && "status" in event.data && statuses.push(event.data.status),
    });
    await until(() => migration.status === "wait-unplug");
    assertEquals(migration.info().ram, undefined); // no figures yet, as in QEMU
    assert(here.running);
    if (given) {
      instance.held = false;
      await migration.completed;
      await incoming.completed;
      assertEquals(statuses, ["setup", "wait-unplug", "active", "device", "completed"]);
    } else {
      migration.cancel();
      await assertRejects(() => migration.completed, CancelledError);
      await assertRejects(() => incoming.completed);
      assertEquals(statuses, ["setup", "wait-unplug", "cancelling", "cancelled"]);
      assert(here.running);
    }
  });
}
