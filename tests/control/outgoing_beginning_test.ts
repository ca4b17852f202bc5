import { assert, assertEquals, assertRejects } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { encodeBeginning, PING_OPENED } from "../../src/control/outgoing_beginning.ts";
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
/** START of section 1, version 4: one block of a page, and what ends it. */
const START = "01 00000001 03 72616d 00000000 00000004 0000000000001004 03 72616d 0000000000001000";
const FLUSH = "0000000000000200";
const END = "0000000000000010 7e 00000001";

for (
  const [capabilities, flushes, rest] of [
    [{ "return-path": false }, false, START + END],
    [{}, false, OPEN_RETURN_PATH + PING + START + END],
    [{ "postcopy-ram": true }, false, OPEN_RETURN_PATH + PING + ADVISE + START + END],
    [{ multifd: true }, true, OPEN_RETURN_PATH + PING + START + FLUSH + END],
  ] as const
) {
  Deno.test(`A stream begins with what its capabilities need: ${JSON.stringify(capabilities)}`, async () => {
    await using machine = await Machine.create({ name: "beginner", ram: { ram: 4096 } });
    using destination = new ScriptedDestination();
    const source = new MachineSource(machine);
    const set = settings(capabilities);
    await using link = new OutgoingLink({
      ...{ uri: parseUri(destination.uri), machine: source, ...set },
      statistics: new OutgoingStatistics(machine.ram, 300),
      allSent: () => false,
    });
    await link.connect();
    const { opensReturnPath } = link;
    const bytes = encodeBeginning({
      ...{
        machine: source,
        capabilities: set.capabilities,
        opensReturnPath,
        ramStart: { flushes },
      },
    });
    // It is there before this side has any thread.
    await link.begin(bytes);
    const connection = await destination.accept();
    await connection.sees(bytes.toHex());
    await link.start({ encoder: { detectZero: true }, recovering: false });
    assertEquals(link.stream.passed, bytes.length);
    const hex = connection.received.toHex();
    const name = new TextEncoder().encode("beginner").toHex();
    assertEquals(hex.startsWith(HEADER.replaceAll(" ", "")), true, hex);
    assertEquals(hex.includes(name), true, hex);
    assertEquals(hex.endsWith(rest.replaceAll(" ", "")), true, hex);
    assertEquals(hex.includes(OPEN_RETURN_PATH), rest.includes(OPEN_RETURN_PATH), hex);
    assertEquals(hex.includes("0800030010"), rest.includes(ADVISE), hex);
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
    const unplugged: string[] = [];
    const migration = here.migrate(formatUri(await incoming.listening), {
      onEvent: (event) => {
        if (event.event === "MIGRATION") statuses.push(event.data.status);
        if (event.event === "UNPLUG_PRIMARY") unplugged.push(event.data["device-id"]);
      },
    });
    await until(() => migration.status === "wait-unplug");
    assertEquals(migration.info().ram, undefined); // no figures yet, as in QEMU
    assert(here.running);
    assertEquals(unplugged, ["nic"]);
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
