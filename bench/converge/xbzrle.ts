/**
 * What a page sent as differences costs, in processor time of everything but the vCPU: a migration to
 * nowhere whose guest changes one byte of each page all the time, and whose connection is no limit.
 *
 * @module
 */
import { cpuSeconds } from "../versus_qemu/host.ts";
import { ferryMachine, fill, qemuMachine, type Sweep } from "./machines.ts";

const MIB = 1024 ** 2;
/** How long it is looked at, at most. */
const SECONDS = 5;
/** Fewer do not tell: the kernel counts in hundredths of a second. */
const PAGES_LEAST = 500_000;
const TRIES = 12;
const NOWHERE = "exec:cat > /dev/null";
/** The cache holds all of RAM. */
const CACHE = { "xbzrle-cache-size": 256 * MIB };
/** As often must the dirty log have been read: rounds without and with a still empty cache come first. */
const FIRST_ROUND = 4;

/** What is written. */
export const SPARSE: Sweep = { range: 128 * MIB, pace: 0 };

/** What a migration has cost, and for how many pages. */
interface Cost {
  readonly pages: number;
  readonly seconds: number;
}

/** What is looked at twice. */
interface Look {
  readonly over: boolean;
  readonly rounds: number;
  readonly pages: number;
  /** Of the whole process and of its vCPU, in seconds. */
  readonly process: number;
  readonly vcpu: number;
}

async function measure(look: () => Promise<Look>): Promise<Cost> {
  let first: Look | undefined;
  let last: Look | undefined;
  const start = performance.now();
  while (performance.now() - start < SECONDS * 1000) {
    const now = await look();
    // Sooner or later there is a round so short that the guest writes nothing in it.
    if (now.over) break;
    if (now.rounds >= FIRST_ROUND) last = now;
    first ??= last;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (!first || !last) return { pages: 0, seconds: 0 };
  const seconds = last.process - first.process - (last.vcpu - first.vcpu);
  return { pages: last.pages - first.pages, seconds };
}

/** Adds migrations up until they were long enough. @returns Microseconds a page. */
async function measured(once: () => Promise<Cost>): Promise<number> {
  let [pages, seconds] = [0, 0];
  for (let i = 0; i < TRIES && pages < PAGES_LEAST; i++) {
    const cost = await once();
    pages += cost.pages;
    seconds += cost.seconds;
  }
  if (pages === 0) throw new Error(`${TRIES} migrations were over before pages were encoded`);
  return seconds / pages * 1e6;
}

/** Ferry's. */
export const ferryXbzrle = () => measured(ferryOnce);
/** QEMU's. */
export const qemuXbzrle = () => measured(qemuOnce);

async function ferryOnce(): Promise<Cost> {
  await using machine = await ferryMachine(SPARSE);
  fill(machine, SPARSE);
  const thread = new Promise<number>((resolve) => {
    machine.vcpus[0]!.port.onmessage = ({ data }) => resolve(data);
  });
  await machine.start();
  const vcpu = await thread;
  const migration = machine.migrate(NOWHERE, {
    capabilities: { xbzrle: true },
    // At this bandwidth nothing fits: it ends only when nothing is dirty.
    parameters: { ...CACHE, "avail-switchover-bandwidth": 1, "downtime-limit": 1 },
  });
  const ended = migration.completed.catch(() => {});
  const cost = await measure(() => {
    const info = migration.info();
    return Promise.resolve({
      over: migration.status === "completed",
      rounds: info.ram?.["dirty-sync-count"] ?? 0,
      pages: info["xbzrle-cache"]?.pages ?? 0,
      process: cpuSeconds(Deno.pid),
      vcpu: cpuSeconds(Deno.pid, vcpu),
    });
  });
  if (migration.status === "active") migration.cancel();
  await ended;
  return cost;
}

async function qemuOnce(): Promise<Cost> {
  await using qemu = await qemuMachine(SPARSE, {
    ...{ name: "source", args: ["-name", "source,debug-threads=on"] },
  });
  const vcpu = threadOf(qemu.pid, "CPU 0/");
  await qemu.setCapabilities({ xbzrle: true });
  // A QEMU that has sent all of RAM before it first knew its bandwidth, after 100 ms, takes that for the
  // end, whatever the guest has written meanwhile.
  await qemu.setParameters({ ...CACHE, "max-bandwidth": 2 * SPARSE.range, "downtime-limit": 1 });
  await qemu.migrate(NOWHERE);
  await qemu.waitForEvent("MIGRATION_PASS", ({ pass }) => Number(pass) >= 2);
  await qemu.setParameters({ "max-bandwidth": 10 ** 12 });
  const cost = await measure(async () => {
    const info = await qemu.queryMigrate();
    const cache = info["xbzrle-cache"] as { readonly pages: number };
    return {
      over: info.status === "completed",
      rounds: info.ram?.["dirty-sync-count"] ?? 0,
      pages: cache.pages,
      process: cpuSeconds(qemu.pid),
      vcpu: cpuSeconds(qemu.pid, vcpu),
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
