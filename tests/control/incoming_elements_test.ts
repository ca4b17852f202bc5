import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { IncompatibleError, StateError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");

Deno.test("A factory makes the machine once the stream has said what it is", async () => {
  await using pair = await Pair.create({ blocks: { low: 3, high: 5 } });
  const made: Machine[] = [];
  const target = new MachineTarget(async (configuration, blocks) => {
    const ram = Object.fromEntries(blocks.map(({ name, length }) => [name, length]));
    const machine = await Machine.create({ name: configuration.machine, ram });
    made.push(machine);
    return machine;
  });
  assertThrows(() => target.machine, StateError);
  const incoming = new IncomingMigration(target, { uri: ANY_PORT, ...settings() });
  const outgoing = new OutgoingMigration(new MachineSource(pair.source), {
    uri: await incoming.listening,
    ...settings(),
  });
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(made.length, 1);
  assert(target.machine.running);
  for (const name of ["low", "high"]) {
    assertEquals(contentOf(target.machine, name), contentOf(pair.source, name));
  }
  await target.machine[Symbol.asyncDispose]();
});

/** What the other side has, and what the message says. */
const STRANGERS: readonly (readonly [Parameters<typeof Machine.create>[0], string])[] = [
  [{ name: "other", ram: { ram: 65536 } }, 'of a machine "pair", this one is "other"'],
  [{ name: "pair", ram: { ram: 32768 } }, 'RAM block "ram" has 65536 bytes there and 32768 here'],
  [{ name: "pair", ram: { heap: 65536 } }, 'RAM block "ram", which this machine does not have'],
  [{ name: "pair", ram: { ram: 65536, more: 4096 } }, 'The stream has no RAM block "more"'],
  [
    { name: "pair", ram: { ram: 65536 }, vcpus: ["beat"] },
    "The stream has no state of vCPU 0",
  ],
];

for (const [options, message] of STRANGERS) {
  Deno.test(`IncomingMigration refuses another machine: ${message}`, async () => {
    await using pair = await Pair.create();
    await using stranger = await Machine.create(options);
    const incoming = new IncomingMigration(new MachineTarget(stranger), {
      uri: ANY_PORT,
      ...settings(),
    });
    const outgoing = pair.send(formatUri(await incoming.listening));
    await assertRejects(() => incoming.completed, IncompatibleError, message);
    await assertRejects(() => outgoing.completed);
    assert(pair.source.running);
    assert(!stranger.running);
  });
}
