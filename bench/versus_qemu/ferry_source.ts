/**
 * A Ferry process that sends the same machine again and again: the parent says where to, one JSON line
 * each, and gets the figures of `query-migrate`.
 *
 * @module
 */
import { MachineSource } from "../../src/control/machine_source.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { prepareOutgoing } from "../../src/control/spare_threads.ts";
import { Machine } from "../../src/machine/machine.ts";
import { SpareWorkers } from "../../src/threads/spare_workers.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { sendBare } from "./bare.ts";
import { type Content, fillWith } from "./content.ts";
import { BLOCK, MACHINE, settingsOf } from "./ferry_settings.ts";
import { answer, peakMemory, questions } from "./process.ts";

const { length, content } = JSON.parse(Deno.args[0]!) as { length: number; content: Content };
const machine = await Machine.create({ name: MACHINE, ram: { [BLOCK]: length } });
for (const { memory, base, length } of machine.ram.blocks[0]!.segments) {
  fillWith(new Uint8Array(memory.buffer, base, length), content);
}
answer("ready");

await using spares = new SpareWorkers();
for await (const question of questions()) {
  switch (question.do) {
    case "prepare":
      // As `send` does while it sets its machine up.
      prepareOutgoing(spares, settingsOf(question.setup));
      await spares.ready();
      answer("prepared");
      break;
    case "migrate": {
      await machine.start();
      const migration = new OutgoingMigration(new MachineSource(machine), {
        uri: parseUri(question.uri),
        ...settingsOf(question.setup),
        spares,
      });
      answer({ info: await migration.completed, peakMemory: peakMemory() });
      break;
    }
    case "bare":
      answer({
        milliseconds: await sendBare(machine.ram, parseUri(question.uri), question.channels),
      });
  }
}
