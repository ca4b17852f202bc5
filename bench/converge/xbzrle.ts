/**
 * What a page sent as differences costs, in processor time of everything but the vCPU: a migration to
 * nowhere whose guest changes one byte of each page all the time.
 *
 * The connection is so slow that neither side ends, and both have rounds of many thousand pages: without a
 * limit, a side that is faster has shorter rounds, with more of what a round costs on each page. They are not
 * the same all the same: Ferry reads the dirty log about twice as often, which counts against it.
 *
 * @module
 */
import { cpuSeconds } from "../versus_qemu/host.ts";
import { ferryMachine, fill, qemuMachine, type Sweep } from "./machines.ts";

const MIB = 1024 ** 2;
const NOWHERE = "exec:cat > /dev/null";

/** What is written. */
export const SPARSE: Sweep = { range: 128 * MIB, pace: 0 };
/** What the connection carries, in bytes a second. A page's differences are 14 bytes with their header. */
export const LINK = 4 * MIB;
/** As often must the dirty log have been read: rounds without and with a still empty cache come first. */
const FIRST_ROUND = 4;
/** Then it is left alone, and then looked at, for so many milliseconds. */
const SETTLE_MS = 500;
const LOOK_MS = 3000;

/** The cache holds all of RAM. Until it is full, a round takes half a second. */
const PARAMETERS = {
  "xbzrle-cache-size": 256 * MIB,
  "max-bandwidth": 2 * SPARSE.range,
  "downtime-limit": 1,
};

/** What it came to. */
export interface Cost {
  /** Microseconds a page. */
  readonly page: number;
  /** How many pages a round had. */
  readonly pagesInRound: number;
}

/** What is looked at twice. */
interface Look {
  readonly status: string;
  readonly rounds: number;
  readonly pages: number;
  /** Of all threads but the vCPU, in seconds. */
  readonly seconds: number;
}

/** Looks twice at a migration that is under way. */
async function measured(look: () => Promise<Look>): Promise<Cost> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const first = await look();
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const last = await look();
  if (last.status !== "active") throw new Error(`The migration is ${last.status} too soon`);
  const pages = last.pages - first.pages;
  return {
    page: (last.seconds - first.seconds) / pages * 1e6,
    pagesInRound: pages / (last.rounds - first.rounds),
  };
}

/** Ferry's. */
export async function ferryXbzrle(): Promise<Cost> {
  await using machine = await ferryMachine(SPARSE);
  fill(machine, SPARSE);
  const thread = new Promise<number>((resolve) => {
    machine.vcpus[0]!.port.onmessage = ({ data }) => resolve(data);
  });
  await machine.start();
  const vcpu = await thread;
  // At this bandwidth nothing fits: it ends only when nothing is dirty.
  machine.control.setParameters({ ...PARAMETERS, "avail-switchover-bandwidth": 1 });
  const full = Promise.withResolvers<void>();
  const migration = machine.migrate(NOWHERE, {
    capabilities: { xbzrle: true },
    onEvent: (event) => {
      if (event.event !== "MIGRATION_PASS" || event.data.pass !== FIRST_ROUND) return;
      machine.control.setParameters({ "max-bandwidth": LINK });
      full.resolve();
    },
  });
  const ended = migration.completed.then(() => full.resolve(), full.reject);
  await full.promise;
  try {
    return await measured(() => {
      const info = migration.info();
      return Promise.resolve({
        status: migration.status,
        rounds: info.ram!["dirty-sync-count"],
        pages: info["xbzrle-cache"]!.pages,
        seconds: cpuSeconds(Deno.pid) - cpuSeconds(Deno.pid, vcpu),
      });
    });
  } finally {
    if (migration.status === "active") migration.cancel();
    await ended;
  }
}

/** QEMU's. */
export async function qemuXbzrle(): Promise<Cost> {
  await using qemu = await qemuMachine(SPARSE, {
    ...{ name: "source", args: ["-name", "source,debug-threads=on"] },
  });
  const vcpu = threadOf(qemu.pid, "CPU 0/");
  await qemu.setCapabilities({ xbzrle: true });
  await qemu.setParameters(PARAMETERS);
  await qemu.migrate(NOWHERE);
  await qemu.waitForEvent("MIGRATION_PASS", ({ pass }) => Number(pass) >= FIRST_ROUND);
  await qemu.setParameters({ "max-bandwidth": LINK });
  const cost = await measured(async () => {
    const info = await qemu.queryMigrate();
    return {
      status: String(info.status),
      rounds: info.ram!["dirty-sync-count"]!,
      pages: (info["xbzrle-cache"] as { readonly pages: number }).pages,
      seconds: cpuSeconds(qemu.pid) - cpuSeconds(qemu.pid, vcpu),
    };
  });
  await qemu.execute("migrate_cancel");
  return cost;
}

/** The number of the thread whose name begins so. */
function threadOf(pid: number, begin: string): number {
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const called = Deno.readTextFileSync(`/proc/${pid}/task/${name}/comm`);
    if (called.startsWith(begin)) return Number(name);
  }
  throw new Error(`Process ${pid} has no thread ${begin}`);
}
