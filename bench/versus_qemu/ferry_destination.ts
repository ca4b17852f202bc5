/**
 * A Ferry process that receives one machine: it says where it listens, and at the end what it has. It
 * stays until its input ends, so that the parent can see what it has used.
 *
 * @module
 */
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { receiveBare } from "./bare.ts";
import { BLOCK, MACHINE, settingsOf } from "./ferry_settings.ts";
import { answer, peakMemory, questions, type Setup } from "./process.ts";

const { length, setup, bare } = JSON.parse(Deno.args[0]!) as {
  length: number;
  setup: Setup;
  /** How many bare sockets to read instead. */
  bare?: number;
};
const machine = await Machine.create({ name: MACHINE, ram: { [BLOCK]: length } });
const anyPort = parseUri("tcp:127.0.0.1:0");
if (bare !== undefined) {
  await receiveBare(machine.ram, anyPort, bare, (uri) => answer(formatUri(uri)));
} else {
  const incoming = new IncomingMigration(new MachineTarget(machine), {
    uri: anyPort,
    ...settingsOf(setup),
  });
  answer(formatUri(await incoming.listening));
  answer({ info: await incoming.completed, peakMemory: peakMemory() });
}
for await (const _ of questions());
