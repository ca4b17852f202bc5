import { assert, assertEquals, assertRejects } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { OutgoingLink } from "../../src/control/outgoing_link.ts";
import type { OutgoingMachine } from "../../src/control/outgoing_machine.ts";
import { OutgoingRam } from "../../src/control/outgoing_ram.ts";
import { OutgoingStatistics } from "../../src/control/outgoing_statistics.ts";
import { OutgoingThrottle } from "../../src/control/outgoing_throttle.ts";
import { SettingError, TransportError } from "../../src/errors.ts";
import { markWritten } from "../../src/dirty/barrier_log.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { withFolder } from "../image/fixtures.ts";
import { pageFile } from "../ram/fixtures/page_file.ts";
import { Pair, settings } from "./fixtures/pair.ts";
import { ScriptedDestination } from "./fixtures/scripted_destination.ts";

type Capabilities = Parameters<typeof settings>[0];

/** The RAM of a machine with what surrounds it, before anything is open. */
function ramOf(machine: OutgoingMachine, to: string, set: Capabilities = {}) {
  const { capabilities, parameters } = settings(set);
  const uri = parseUri(to);
  const statistics = new OutgoingStatistics(machine.ram, 300);
  const rest = { uri, machine, capabilities, statistics };
  const events: MigrationEvent[] = [];
  const ram = new OutgoingRam({
    ...{ ...rest, spares: undefined, throttle: new OutgoingThrottle(machine, capabilities) },
    parameters: () => parameters,
    emit: (event) => events.push(event),
  });
  const link = new OutgoingLink({ ...rest, parameters, allSent: () => false });
  return { ram, link, events, statistics };
}

Deno.test("OutgoingRam: all is to be sent at first, then what was written, and each look is announced", async () => {
  await using machine = await Machine.create({ name: "written", ram: { ram: 16 * 4096 } });
  using destination = new ScriptedDestination();
  const source = new MachineSource(machine, "barrier");
  const { ram, link, events, statistics } = ramOf(source, destination.uri);
  await using _link = link;
  await using _ram = ram;
  assertEquals([ram.remaining, ram.info()], [0, {}]);
  await ram.open(link);
  assertEquals(ram.remaining, 16 * 4096);
  assert(ram.info()["dirty-log"]?.startsWith("barrier"));
  const [block] = machine.ram.blocks;
  block!.dirty.fill(0, 16, false);
  markWritten(block!, 3 * 4096, 2 * 4096);
  await ram.sync(false);
  assertEquals([block!.dirty.count(), block!.dirty.has(3), block!.dirty.has(5)], [2, true, false]);
  assertEquals(events, [{ event: "MIGRATION_PASS", data: { pass: 1 } }]);
  assertEquals(statistics.syncs, 1);
});

Deno.test("OutgoingRam: pages that are in a file go over the main channel only", () =>
  withFolder(async (folder) => {
    await using machine = await Machine.create({ name: "filed", ram: { ram: 16 * 4096 } });
    const { pages } = await pageFile(machine.ram, `${folder}/pages`);
    const source = Object.assign(new MachineSource(machine), { pages });
    const { ram, link } = ramOf(source, "tcp:127.0.0.1:1", { multifd: true });
    await assertRejects(() => ram.open(link), SettingError, "not in memory");
  }));

Deno.test("OutgoingRam: a channel that does not come about leaves nothing behind", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive();
  const uri = formatUri(await incoming.listening);
  incoming.cancel();
  await incoming.completed.catch(() => {});
  const { ram, link } = ramOf(new MachineSource(pair.source), uri, { multifd: true });
  await assertRejects(() => ram.open(link), TransportError);
  await ram[Symbol.asyncDispose]();
  await link[Symbol.asyncDispose]();
  assertEquals(ram.channels, undefined);
});
