/**
 * One end of Ferry to Ferry, as a process: a source that migrates its machine again and again, or a
 * destination for one migration.
 *
 * @module
 */
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { changeParameters, defaultParameters } from "../../src/control/parameters.ts";
import { prepareOutgoing } from "../../src/control/spare_threads.ts";
import { Machine } from "../../src/machine/machine.ts";
import { SpareWorkers } from "../../src/threads/spare_workers.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { answer, questions } from "../versus_qemu/process.ts";
import { type EndQuestion, type EndStart, IDLE_BANDWIDTH, type Said } from "./ferry_faults.ts";
import { PAGE, type TouchPlan } from "./touch_plan.ts";

const CAPABILITIES = { "postcopy-ram": true, "postcopy-preempt": true };

function makeMachine(plan: TouchPlan): Promise<Machine> {
  return Machine.create({
    name: "touch",
    ram: { ram: plan.pages * PAGE },
    vcpus: [new URL("./touch_guest.ts", import.meta.url)],
    guestOptions: { ...plan },
  });
}

async function source(plan: TouchPlan): Promise<void> {
  await using machine = await makeMachine(plan);
  const block = machine.ram.block("ram")!;
  const bytes = block.view(0, block.length);
  for (let at = 0; at < bytes.length; at += PAGE) bytes[at] = 1; // no page is zero
  await using spares = new SpareWorkers();
  answer("ready");
  let migration: OutgoingMigration | undefined;
  for await (const question of questions<EndQuestion>()) {
    if (question.do === "finish") {
      migration!.setParameters(changeParameters(defaultParameters(), {}));
      answer(await migration!.completed);
      continue;
    }
    const settings = {
      capabilities: changeCapabilities(defaultCapabilities(), CAPABILITIES),
      parameters: changeParameters(defaultParameters(), {
        "max-postcopy-bandwidth": question.background === "idle" ? IDLE_BANDWIDTH : 0,
      }),
    };
    prepareOutgoing(spares, settings);
    await spares.ready();
    await machine.start();
    migration = new OutgoingMigration(new MachineSource(machine), {
      ...{ uri: parseUri(question.uri), ...settings, spares },
    });
    migration.startPostcopy();
    answer("begun");
  }
}

async function destination(plan: TouchPlan): Promise<void> {
  await using machine = await makeMachine(plan);
  await using spares = new SpareWorkers();
  const incoming = new IncomingMigration(new MachineTarget(machine), {
    uri: parseUri("tcp:127.0.0.1:0"),
    capabilities: changeCapabilities(defaultCapabilities(), {
      ...CAPABILITIES,
      "postcopy-blocktime": true,
    }),
    parameters: defaultParameters(),
    spares,
  });
  machine.vcpus[0]!.port.onmessage = ({ data }) => answer(data);
  const uri = await incoming.listening;
  await spares.ready();
  answer(formatUri(uri));
  answer({ info: await incoming.completed } satisfies Said);
  for await (const _ of questions());
}

const { side, plan } = JSON.parse(Deno.args[0]!) as EndStart;
await (side === "source" ? source(plan) : destination(plan));
Deno.exit(0);
