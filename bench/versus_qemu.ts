/**
 * `deno task bench:qemu`: Ferry to Ferry beside QEMU 10.0 to QEMU 10.0, over loopback, with the same
 * content of RAM, the same channels and the same compression or encryption, in turn.
 *
 * ```text
 * --pairs N      how many times each, in turn (5)
 * --size SIZE    the RAM (2G)
 * --only TEXT    only what has TEXT in its name, such as tls; also "sizes", "channels", "memory"; can be repeated
 * --prealloc     QEMU's destination provides its RAM before the migration, as Ferry's does by itself
 * --eager        Ferry's destination does not get the time to
 * ```
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { type Case, CASES, nameOf, setupOf } from "./versus_qemu/cases.ts";
import type { Content } from "./versus_qemu/content.ts";
import { Credentials } from "./versus_qemu/credentials.ts";
import { type FerryMeasured, FerrySide } from "./versus_qemu/ferry_side.ts";
import { type Measured, missingQemu, QemuSide } from "./versus_qemu/qemu_side.ts";
import { median, printTable, progress, say, seconds, spread } from "./versus_qemu/table.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const SIZES = [256 * MIB, 512 * MIB, GIB, 2 * GIB, 4 * GIB, 8 * GIB];
const CHANNELS = [1, 2, 4, 8, 16];
/** How much more than its RAM a destination may take. */
const OVERHEAD_MAX = 300 * MIB;

const args = parseArgs(Deno.args, {
  string: ["pairs", "size", "only"],
  collect: ["only"],
  boolean: ["prealloc", "eager"],
});
const pairs = Number(args.pairs ?? 5);
const { size: sizeText = "2G" } = args;
const size = Number.parseFloat(sizeText) * (sizeText.toUpperCase().endsWith("G") ? GIB : MIB);
const only = args.only as string[];
/** What is no case; "channels" is in most cases' names. */
const SECTIONS = ["sizes", "channels", "memory"];
const wanted = (name: string) =>
  only.length === 0 ||
  only.some((text) => SECTIONS.includes(text) ? text === name : name.includes(text));

/** Both sides with one content, and what each row of it has measured. */
interface Rows {
  readonly each: Case;
  readonly qemu: Measured[];
  readonly ferry: FerryMeasured[];
  readonly bare: number[];
}

/** Compares all rows of one content: the sources are filled once. */
async function compare(content: Content, cases: readonly Case[]): Promise<Rows[]> {
  await using ferry = await FerrySide.start(size, content);
  await using credentials = await Credentials.create(cases.some((each) => each.tls));
  const { folder } = credentials;
  await using qemu = await QemuSide.start(ferry.source, {
    ...{ length: size, preallocate: args.prealloc, credentials: folder },
  });
  const rows = cases.map((each): Rows => ({ each, qemu: [], ferry: [], bare: [] }));
  for (const row of rows) {
    const setup = setupOf(row.each, folder);
    const measure = {
      qemu: async () => void row.qemu.push(await qemu.measure(setup)),
      ferry: async () => void row.ferry.push(await ferry.measure(setup, args.eager)),
      bare: async () => void row.bare.push(await ferry.measureBare(row.each.channels || 1)),
    };
    for (let pair = 0; pair < pairs; pair++) {
      progress(`${nameOf(row.each)}: pair ${pair + 1} of ${pairs}`);
      // Who begins changes with each pair.
      if (pair % 2 === 0) await measure.qemu();
      await measure.ferry();
      await measure.bare();
      if (pair % 2 === 1) await measure.qemu();
    }
  }
  return rows;
}

function ratios(row: Rows, of: keyof Measured): number[] {
  return row.qemu.map((qemu, pair) => qemu[of] / row.ferry[pair]![of]);
}

function printComparison(all: readonly Rows[]): void {
  say(`${size / GIB} GiB, ${pairs} pairs; medians, and of ratios the least and the most.`);
  say("Ratio: QEMU's total-time by Ferry's; the wall's, the same by the caller's clock.");
  say("Of bare sockets: the time that sockets alone take, by Ferry's.\n");
  const head = ["content, compression, channels", "QEMU", "Ferry", "Ferry GiB/s", "ratio", "goal"];
  printTable(
    [...head, "ratio, wall", "CPU s QEMU / Ferry", "of bare sockets"],
    all.map((row) => {
      const [theirs, ours] = [row.qemu, row.ferry].map((each) => median(each.map((m) => m.total)));
      const ratio = ratios(row, "total");
      const { goal } = row.each;
      const cpu = [row.qemu, row.ferry].map((each) => median(each.map((m) => m.cpu)).toFixed(2));
      return [
        nameOf(row.each),
        seconds(theirs!),
        seconds(ours!),
        (size / GIB / ours!).toFixed(2),
        spread(ratio),
        goal === undefined ? "" : `${goal.toFixed(1)} ${median(ratio) >= goal ? "met" : "MISSED"}`,
        spread(ratios(row, "wall")),
        cpu.join(" / "),
        `${Math.round(100 * median(row.bare) / ours!)} %`,
      ];
    }),
  );
}

/** How Ferry's time grows with the RAM. */
async function printSizes(): Promise<void> {
  const setup = setupOf({ method: "none", channels: 2 });
  const rows: string[][] = [];
  for (const length of SIZES) {
    progress(`${length / MIB} MiB`);
    await using ferry = await FerrySide.start(length, "incompressible");
    const measured: FerryMeasured[] = [];
    for (let i = 0; i < pairs; i++) measured.push(await ferry.measure(setup, args.eager));
    const total = median(measured.map((each) => each.total));
    rows.push([
      `${length / MIB} MiB`,
      seconds(total),
      `${Math.round(total * 1000 / (length / GIB))} ms`,
      spread(measured.map((each) => length / GIB / each.total)),
    ]);
  }
  say("Time by size: incompressible, 2 channels, Ferry to Ferry.\n");
  printTable(["RAM", "time", "per GiB", "GiB/s"], rows);
}

/** How both sides' times change with the number of channels. */
async function printChannels(): Promise<void> {
  const cases = CHANNELS.map((channels): Case => ({
    ...{ content: "incompressible", method: "none", channels },
  }));
  const rows = await compare("incompressible", cases);
  say("Time by channels: incompressible.\n");
  printTable(
    ["channels", "QEMU", "Ferry", "ratio"],
    rows.map((row) => [
      `${row.each.channels}`,
      seconds(median(row.qemu.map((each) => each.total))),
      seconds(median(row.ferry.map((each) => each.total))),
      spread(ratios(row, "total")),
    ]),
  );
}

/** How much memory a destination takes with 8 channels, for migrations of different lengths. */
async function printMemory(): Promise<void> {
  const rows: string[][] = [];
  for (const [method, content] of [["none", "incompressible"], ["zstd", "text"]] as const) {
    await using ferry = await FerrySide.start(size, content);
    const { peakMemory } = await ferry.measure(setupOf({ method, channels: 8 }), args.eager);
    const over = peakMemory - size;
    const verdict = over <= OVERHEAD_MAX ? "met" : "MISSED";
    rows.push([
      `${content}, ${method}`,
      `${Math.round(peakMemory / MIB)} MiB`,
      `${Math.round(over / MIB)} MiB`,
      `${OVERHEAD_MAX / MIB} MiB ${verdict}`,
    ]);
  }
  say("Peak resident memory of the destination with 8 channels.\n");
  printTable(["content, compression", "peak", "beyond its RAM", "goal"], rows);
}

const lack = missingQemu();
if (lack !== undefined) {
  say(lack);
  Deno.exit(1);
}
const chosen = CASES.filter((each) => wanted(nameOf(each)));
const compared: Rows[] = [];
for (const content of new Set(chosen.map((each) => each.content))) {
  compared.push(...await compare(content, chosen.filter((each) => each.content === content)));
}
progress("");
if (compared.length > 0) printComparison(compared);
if (wanted("sizes")) await printSizes();
if (wanted("channels")) await printChannels();
if (wanted("memory")) await printMemory();
