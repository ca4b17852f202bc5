/**
 * The program of `demo`'s second process: receives the machine, lets it run, and looks at every page when
 * it is told to.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { MachineTarget } from "../control/machine_target.ts";
import { MigrationControl } from "../control/migration_control.ts";
import { asMigrationError } from "../errors.ts";
import { Machine } from "../machine/machine.ts";
import { verifyRam } from "../machine/verify/ram_check.ts";
import { formatUri } from "../transport/uri.ts";
import type { DemoDestinationOptions, DemoMessage } from "./demo_process.ts";
import { guestSpecs, MACHINE_NAME, RAM_BLOCK } from "./guests.ts";
import { IncomingMending } from "./mending.ts";
import { transportOf } from "./transport.ts";

/** What the guest must have written here before it is stopped, in pages. */
const PAGES_MIN = 256;

function say(message: DemoMessage): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
}

async function run(options: DemoDestinationOptions): Promise<void> {
  await using machine = await Machine.create({
    name: MACHINE_NAME,
    ram: { [RAM_BLOCK]: options.ram },
    vcpus: guestSpecs(["stress"], options),
  });
  const control = new MigrationControl({
    target: () => new MachineTarget(machine),
    transport: transportOf(options),
  });
  control.setCapabilities(options.capabilities);
  control.setParameters(options.parameters);
  // The source says what there is to say.
  const silent = { say: () => {}, warn: () => {}, event: () => {} };
  using _mending = new IncomingMending(control, silent, undefined);
  const incoming = control.migrateIncoming("tcp:127.0.0.1:0");
  say({ uri: formatUri(await incoming.listening) });
  const told = nextLine();
  await incoming.completed;
  if (!(await told)) return;
  while (machine.counters.pages < PAGES_MIN) {
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 10)), machine.failed]);
  }
  await machine.stop();
  const wrong = await verifyRam(machine);
  say({ verdict: { ...wrong && { wrong }, pages: machine.counters.pages } });
}

/** The next line of standard input; `undefined` when the source's process has ended. */
async function nextLine(): Promise<string | undefined> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) return line;
  return undefined;
}

// Ctrl-C reaches both processes of a terminal; the source's decides what becomes of it.
Deno.addSignalListener("SIGINT", () => {});
try {
  await run(JSON.parse(Deno.args[0]!));
} catch (error) {
  say({ error: asMigrationError(error).message });
  Deno.exit(1);
}
Deno.exit(0);
