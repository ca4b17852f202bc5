/**
 * Ferry's sides of a migration behind QMP, so that a test can tell both sides the same.
 *
 * @module
 */
import { ImageTarget } from "../../src/control/image_target.ts";
import { MigratableMachine } from "../../src/control/migratable_machine.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { serveQmp } from "../../src/qmp/server.ts";
import type { QmpTarget } from "../../src/qmp/target.ts";
import { fillPages } from "../control/fixtures/pair.ts";
import { PATIENCE_MS, PatienceError } from "../support/event_log.ts";
import type { JsonObject } from "../support/json.ts";
import type { Qemu } from "../support/qemu.ts";
import type { QemuLab } from "../support/qemu_lab.ts";
import { QmpClient } from "../support/qmp_client.ts";
import "../support/load_libc.ts";

/** A QEMU, or a Ferry as a client of its server sees it. */
export type QmpSide = Pick<Qemu | QmpClient, "execute" | "events">;

const NONE = { name: "none", ram: { ram: 2 ** 20 } };

/** A running machine that a QEMU of {@linkcode noneDestination} takes. */
export async function ferrySource(lab: QemuLab): Promise<QmpSide> {
  const machine = lab.use(await MigratableMachine.create(NONE));
  fillPages(machine);
  await machine.start();
  return await serve(lab, { control: machine.control, machine });
}

/** A Ferry that keeps what comes, and throws it away when the test ends. */
export async function ferryDestination(lab: QemuLab): Promise<QmpSide> {
  const control = new MigrationControl({ target: () => new ImageTarget(() => Promise.resolve()) });
  lab.use({ [Symbol.asyncDispose]: () => control.cleanedUp() });
  return await serve(lab, { control });
}

/**
 * A QEMU for the machine of {@linkcode ferrySource}.
 * @param ram The machine's RAM, as `-m` takes it.
 */
export async function noneDestination(lab: QemuLab, ram = "1M"): Promise<Qemu> {
  return await lab.qemu("10.0", {
    ...{ name: "destination", machine: "none", incoming: "defer", paused: true },
    args: ["-m", ram],
  });
}

/** Serves anything by QMP. @returns A client of that. */
export async function serve(lab: QemuLab, target: Omit<QmpTarget, "quit">): Promise<QmpSide> {
  const at = lab.unix(`ferry-${lab.resources.length}`);
  const server = lab.use(await serveQmp({ ...target, quit: () => {} }, at));
  const client = lab.use(await QmpClient.connect(server.uri));
  await setCapabilities(client, { events: true });
  return client;
}

/** Turns capabilities on or off. */
export async function setCapabilities(
  side: QmpSide,
  capabilities: Readonly<Record<string, boolean>>,
): Promise<void> {
  const list = Object.entries(capabilities).map(([capability, state]) => ({ capability, state }));
  await side.execute("migrate-set-capabilities", { capabilities: list });
}

/** Asks again and again until the answer is as it should be. @throws {PatienceError} If it never is. */
export async function untilAnswer(
  side: QmpSide,
  command: string,
  isSo: (answer: JsonObject) => boolean,
): Promise<JsonObject> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await side.execute(command) as JsonObject;
    if (isSo(answer)) return answer;
    if (performance.now() > end) {
      throw new PatienceError(`${command} says all the time: ${JSON.stringify(answer)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Tries again and again until a command is taken. @throws What it was refused with, if it never is. */
export async function untilTaken(run: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await run();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
