/**
 * `deno task bench:postcopy`: postcopy beside QEMU 10.0's, in turn, over loopback.
 *
 * ```text
 * --pairs N      how many times each, in turn (5)
 * --size SIZE    the RAM of the machine that starts from an image (4G)
 * --only TEXT    only what has TEXT in its name: "idle", "full", "lazy"; can be repeated
 * ```
 *
 * Latencies are what the guest at the destination sees: it reads pages in a scattered order, one after the
 * other, and times each read. QEMU's guest is a boot sector that reads the time stamp counter around each read
 * (TCG gives it the host's; its speed is measured before), Ferry's is JavaScript with `performance.now()`. A
 * read that took 10 µs or less had found its page and is left out.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { type Background, FerryFaults } from "./postcopy/ferry_faults.ts";
import { LazyStart } from "./postcopy/lazy_start.ts";
import { QemuFaults } from "./postcopy/qemu_faults.ts";
import { type Measured, PAGE, type TouchPlan } from "./postcopy/touch_plan.ts";
import { missingQemu } from "./versus_qemu/qemu_side.ts";
import { median, printTable, progress, say, spread } from "./versus_qemu/table.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** How many pages the guest of the latencies has; with an idle background it touches only some of them. */
const PAGES = 65536;
const PLANS: Readonly<Record<Background, TouchPlan>> = {
  idle: { pages: PAGES, touches: 4096 },
  full: { pages: PAGES, touches: PAGES },
};
/** The most that a fault may take in the middle with an idle background, in microseconds. */
const IDLE_GOAL = 200;
/** How many times sooner a guest has to run, from the start of the program and without that. */
const SOONER_GOALS = { fromStart: 5, fromSetup: 10 } as const;

const args = parseArgs(Deno.args, { string: ["pairs", "size", "only"], collect: ["only"] });
const pairs = Number(args.pairs ?? 5);
const { size: sizeText = "4G" } = args;
const size = Number.parseFloat(sizeText) * (sizeText.toUpperCase().endsWith("G") ? GIB : MIB);
const only = args.only as string[];
const wanted = (name: string) => only.length === 0 || only.some((text) => name.includes(text));

const rows: string[][] = [];

/** Does both in turn; who begins changes with each pair. */
async function alternate(
  name: string,
  qemu: () => Promise<void>,
  ferry: () => Promise<void>,
): Promise<void> {
  for (let pair = 0; pair < pairs; pair++) {
    progress(`${name}: pair ${pair + 1} of ${pairs}`);
    for (const measure of pair % 2 === 0 ? [qemu, ferry] : [ferry, qemu]) await measure();
  }
}

/** A row of figures of which less is better. */
function addRow(name: string, qemu: number[], ferry: number[], unit: string, most?: number): void {
  const [theirs, ours] = [median(qemu), median(ferry)];
  const goal = most === undefined ? "QEMU's" : `QEMU's, ${most} ${unit}`;
  const isMet = ours <= theirs && (most === undefined || ours <= most);
  rows.push([
    ...[`${name}, ${unit}`, spread(qemu, 0), spread(ferry, 0), (theirs / ours).toFixed(2)],
    `${goal} ${isMet ? "met" : "MISSED"}`,
  ]);
}

async function compareFaults(background: Background): Promise<void> {
  const plan = PLANS[background];
  await using qemu = await QemuFaults.start(plan);
  await using ferry = await FerryFaults.start(plan);
  const measured = { qemu: [] as Measured[], ferry: [] as Measured[] };
  await alternate(
    `faults, ${background} background`,
    async () => void measured.qemu.push(await qemu.measure(background)),
    async () => void measured.ferry.push(await ferry.measure(background)),
  );
  const row = (name: string, of: keyof Measured, unit: string, most?: number) => {
    const [theirs, ours] = [measured.qemu, measured.ferry].map((all) => all.map((one) => one[of]));
    addRow(`${background} background: ${name}`, theirs!, ours!, unit, most);
  };
  row("fault, p50", "p50", "µs", background === "idle" ? IDLE_GOAL : undefined);
  row("fault, p99", "p99", "µs");
  row("postcopy-blocktime", "blocktime", "ms");
  row("postcopy-vcpu-blocktime", "vcpuBlocktime", "ms");
  const faults = [measured.qemu, measured.ferry].map((all) => all.map((one) => one.faults));
  rows.push([
    `${background} background: faults of ${plan.touches} reads`,
    ...faults.map((counts) => spread(counts, 0)),
    ...["", ""],
  ]);
}

async function compareLazyStart(): Promise<void> {
  progress("lazy start: a machine is saved");
  await using lazy = await LazyStart.start(size);
  const qemu: number[] = [];
  const times = { fromStart: [] as number[], fromSetup: [] as number[] };
  await alternate(
    "lazy start",
    async () => void qemu.push(await lazy.measureQemu()),
    async () => {
      const { fromStart, fromSetup } = await lazy.measureFerry();
      times.fromStart.push(fromStart);
      times.fromSetup.push(fromSetup);
    },
  );
  const image = `an image of ${(lazy.imageSize / GIB).toFixed(1)} GiB`;
  for (const from of ["fromStart", "fromSetup"] as const) {
    const ratio = median(qemu) / median(times[from]);
    const goal = SOONER_GOALS[from];
    rows.push([
      `lazy start of ${image}, ${from === "fromStart" ? "with" : "without"} the program's, ms`,
      ...[spread(qemu, 0), spread(times[from], 0), ratio.toFixed(1)],
      `${goal} times ${ratio >= goal ? "met" : "MISSED"}`,
    ]);
  }
}

const lack = missingQemu();
if (lack !== undefined) {
  say(lack);
  Deno.exit(1);
}
if (wanted("idle")) await compareFaults("idle");
if (wanted("full")) await compareFaults("full");
if (wanted("lazy")) await compareLazyStart();
progress("");
say(
  `${pairs} pairs; medians, the least and the most. Faults: a guest reads pages of ${
    PAGES * PAGE / MIB
  } MiB
in a scattered order at the destination and times each read; preempt channel, 1 vCPU. Lazy start: from the
command to the guest's first heartbeat, QEMU's own with migrate-incoming file:IMAGE.
`,
);
printTable(["", "QEMU", "Ferry", "QEMU / Ferry", "goal"], rows);
