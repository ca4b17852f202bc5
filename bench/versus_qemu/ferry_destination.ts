/**
 * A Ferry process that receives one machine: it says where it listens, and at the end what it has.
 *
 * @module
 */
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { changeParameters, defaultParameters } from "../../src/control/parameters.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { answer, peakMemory } from "./process.ts";

const [length, parameters] = [Number(Deno.args[0]), JSON.parse(Deno.args[1]!)];
const machine = await Machine.create({ name: "bench", ram: { ram: length } });
const incoming = new IncomingMigration(new MachineTarget(machine), {
  uri: parseUri("tcp:127.0.0.1:0"),
  capabilities: changeCapabilities(defaultCapabilities(), { multifd: true }),
  parameters: changeParameters(defaultParameters(), parameters),
});
answer(formatUri(await incoming.listening));
answer({ info: await incoming.completed, peakMemory: peakMemory() });
Deno.exit(0);
