/**
 * How long it takes until a machine has moved whose guest writes faster than the connection carries, with
 * auto-converge and its default parameters.
 *
 * @module
 */
import { ferryMachine, qemuMachine, type Sweep } from "./machines.ts";

const MIB = 1024 ** 2;

/** What is written: 20 times a second all of it, which is 9 times what the connection carries. */
export const BUSY: Sweep = { range: 9 * MIB, pace: 50 };
/** Of the connection, in bytes a second. */
export const BANDWIDTH = 20 * MIB;
const PARAMETERS = { "max-bandwidth": BANDWIDTH, "downtime-limit": 300 };

/** What has become of a migration. */
export interface Moved {
  readonly seconds: number;
  /** How much the guest was throttled at last, in percent. */
  readonly throttle: number;
  readonly downtimeMs: number;
}

/** Ferry's. */
export async function ferryMoves(): Promise<Moved> {
  await using source = await ferryMachine(BUSY);
  await using destination = await ferryMachine(BUSY);
  await source.start();
  const incoming = destination.incoming("tcp:127.0.0.1:0");
  const { host, port } = await incoming.listening as { host: string; port: number };
  let throttle = 0;
  const outgoing = source.migrate(`tcp:${host}:${port}`, {
    capabilities: { "auto-converge": true },
    parameters: PARAMETERS,
    onEvent: () => throttle = outgoing.info()["cpu-throttle-percentage"] ?? throttle,
  });
  const info = await outgoing.completed;
  await incoming.completed;
  return { seconds: info["total-time"]! / 1000, throttle, downtimeMs: info.downtime! };
}

/** QEMU's. */
export async function qemuMoves(): Promise<Moved> {
  await using source = await qemuMachine(BUSY, { name: "source" });
  await using destination = await qemuMachine(BUSY, {
    ...{ name: "destination", incoming: "tcp:127.0.0.1:0" },
  });
  await source.setCapabilities({ "auto-converge": true, "return-path": true });
  await source.setParameters(PARAMETERS);
  await source.migrate(await destination.listening());
  let throttle = 0;
  // It takes longer than tests have patience for.
  for (;;) {
    const { status, ...info } = await source.queryMigrate();
    throttle = Number(info["cpu-throttle-percentage"] ?? throttle);
    if (status === "completed") {
      const [total, downtimeMs] = [Number(info["total-time"]), Number(info["downtime"])];
      return { seconds: total / 1000, throttle, downtimeMs };
    }
    if (status === "failed") throw new Error(`QEMU failed: ${info["error-desc"]}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
