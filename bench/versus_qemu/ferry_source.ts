/**
 * A Ferry process that sends the same machine again and again: the parent says where to, one JSON line
 * each, and gets the figures of `query-migrate`.
 *
 * @module
 */
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { changeParameters, defaultParameters } from "../../src/control/parameters.ts";
import { prepareOutgoing } from "../../src/control/spare_threads.ts";
import { Machine } from "../../src/machine/machine.ts";
import { SpareWorkers } from "../../src/threads/spare_workers.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { type Content, fillWith } from "./content.ts";
import { answer, peakMemory, questions } from "./process.ts";

const [length, content] = [Number(Deno.args[0]), Deno.args[1] as Content];
const machine = await Machine.create({ name: "bench", ram: { ram: length } });
const block = machine.ram.blocks[0]!;
for (const { memory, base, length } of block.segments) {
  fillWith(new Uint8Array(memory.buffer, base, length), content);
}
answer("ready");

await using spares = new SpareWorkers();
for await (const { uri, parameters } of questions()) {
  const settings = {
    capabilities: changeCapabilities(defaultCapabilities(), { multifd: true }),
    parameters: changeParameters(defaultParameters(), parameters),
  };
  // As `send` does while it sets its machine up; QEMU's process has been started before, too.
  prepareOutgoing(spares, settings);
  await spares.ready();
  await machine.start();
  const migration = new OutgoingMigration(new MachineSource(machine), {
    uri: parseUri(uri),
    ...settings,
    spares,
  });
  answer({ info: await migration.completed, peakMemory: peakMemory() });
}
await new Promise((resolve) => setTimeout(resolve, 50));
