/**
 * `deno task bench:xbzrle`: the XBZRLE kernels beside QEMU's own encoder and decoder, out of Debian's source
 * package of QEMU 10.0 (or `FERRY_QEMU_SOURCE`, a folder) and compiled here, on the same pages in the same
 * memory, in turn. Both must write the same bytes.
 *
 * @module
 */
import { bindRamRecords } from "../src/kernels/ram_records.ts";
import { bindXbzrle } from "../src/kernels/xbzrle.ts";
import { median, printTable, progress, say } from "./versus_qemu/table.ts";
import { type Change, CHANGES, fillPage, PAGE } from "./xbzrle/changes.ts";
import { type QemuEncoder, qemuEncoder } from "./xbzrle/qemu_encoder.ts";

const PAGES = 1024;
const PAIRS = 41;
const BYTES = PAGES * PAGE;

const memory = (bytes: number) => {
  const pages = Math.ceil(bytes / 65536);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
};
const [ram, cache, io] = [memory(BYTES), memory(BYTES + PAGE), memory(BYTES + PAGE)];
const [now, old, out] = [ram, cache, io].map(({ buffer }) => new Uint8Array(buffer)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];
const before = new Uint8Array(BYTES);
const encoder = bindXbzrle(ram, cache, io, memory(65536));
const decoder = bindRamRecords(ram, io, memory(65536));

/** What an encoder returned for each page. */
const lengths = { ferry: new Int32Array(PAGES), qemu: new Int32Array(PAGES) };
const theirs = new Uint8Array(BYTES + PAGE);
const copy = new Uint8Array(PAGE);

function encodeFerry(): void {
  let at = 0;
  for (let page = 0; page < PAGES; page++) {
    const length = encoder.encode(page * PAGE, page * PAGE, PAGE, at);
    lengths.ferry[page] = length;
    if (length > 0) at += length;
  }
}

function decodeFerry(): void {
  let at = 0;
  for (let page = 0; page < PAGES; page++) {
    const length = lengths.ferry[page]!;
    if (length <= 0) continue;
    decoder.xbzrle(at, length, page * PAGE, PAGE);
    at += length;
  }
}

/** @returns Nanoseconds a page. */
function time(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) * 1e6 / PAGES;
}

/** Nanoseconds a page, of each pair. */
interface Times {
  /** QEMU's encoder alone. */
  readonly alone: number[];
  /** With the copies that its save path makes. */
  readonly safely: number[];
  readonly ferry: number[];
  /** Empty where there is nothing to decode. */
  readonly decodeQemu: number[];
  readonly decodeFerry: number[];
}

/** Measures one kind of change. @throws {Error} If the two do not write, or place, the same. */
function measure(what: string, change: Change, { functions }: QemuEncoder): Times {
  const times: Times = { alone: [], safely: [], ferry: [], decodeQemu: [], decodeFerry: [] };
  const pageOf = (bytes: Uint8Array, page: number) =>
    bytes.subarray(page * PAGE, (page + 1) * PAGE);
  for (let page = 0; page < PAGES; page++) fillPage(pageOf(before, page), page);
  const after = before.slice();
  for (let page = 0; page < PAGES; page++) change(pageOf(after, page), page);
  const [nowAt, oldAt] = [now, old].map((bytes) => Deno.UnsafePointer.of(bytes)) as [
    Deno.PointerValue,
    Deno.PointerValue,
  ];
  const encoders = {
    alone: () => functions.encode_pages(oldAt, nowAt, PAGES, PAGE, theirs, lengths.qemu),
    safely: () =>
      functions.encode_pages_safely(oldAt, nowAt, PAGES, PAGE, theirs, lengths.qemu, copy),
    ferry: encodeFerry,
  };
  const decoders = {
    decodeQemu: () => functions.decode_pages(theirs, lengths.qemu, PAGES, PAGE, nowAt),
    decodeFerry,
  };
  const inTurn = (
    all: Partial<Record<keyof Times, () => void>>,
    pair: number,
    prepare: () => void,
  ) => {
    const order = Object.entries(all) as [keyof Times, () => void][];
    for (const [name, work] of pair % 2 === 0 ? order : order.reverse()) {
      prepare();
      times[name].push(time(work));
    }
  };
  for (let pair = 0; pair < PAIRS; pair++) {
    inTurn(encoders, pair, () => {
      now.set(after);
      old.set(before);
    });
    requireSame(what, lengths.qemu, lengths.ferry);
    const bytes = lengths.qemu.reduce((sum, length) => sum + Math.max(0, length), 0);
    requireSame(what, theirs.subarray(0, bytes), out.subarray(0, bytes));
    if (bytes === 0) continue;
    inTurn(decoders, pair, () => now.set(before));
    requireSame(what, now.subarray(0, BYTES), after);
  }
  return times;
}

function requireSame(what: string, one: ArrayLike<number>, other: ArrayLike<number>): void {
  const same = one.length === other.length && indexOfDifference(one, other) < 0;
  if (!same) throw new Error(`Pages changed by ${what}: QEMU's and Ferry's are not the same`);
}

function indexOfDifference(one: ArrayLike<number>, other: ArrayLike<number>): number {
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return i;
  return -1;
}

/** A median, and what it is of QEMU's. */
const ratio = (ferry: readonly number[], qemu: readonly number[]) => median(ferry) / median(qemu);
const ns = (times: readonly number[]) => median(times).toFixed(0);

const qemu = await qemuEncoder(Deno.env.get("FERRY_QEMU_SOURCE")).catch((error: unknown) => {
  say(`No comparison: ${error instanceof Error ? error.message : error}`);
  return Deno.exit(1);
});
say(`${PAGES} pages of ${PAGE} bytes, ${PAIRS} pairs, medians in ns a page; QEMU's is compiled by`);
say(`${qemu.compiler}. Both write the same bytes. Ferry's keeps a page that the guest writes`);
say(
  "meanwhile from becoming different ones in the record and in the cache; for that, QEMU's save path",
);
say('makes two copies of each page: "with copies".\n');
const measured = Object.entries(CHANGES).map(([what, change]) => {
  progress(what);
  return { what, times: measure(what, change, qemu) };
});
progress("");
say("Encoding, of pages of which changed:\n");
printTable(
  ["", "QEMU", "with copies", "Ferry", "Ferry by QEMU", "with copies", "goal"],
  measured.map(({ what, times: { alone, safely, ferry } }) => [
    ...[what, ns(alone), ns(safely), ns(ferry)],
    ...[ratio(ferry, alone).toFixed(2), ratio(ferry, safely).toFixed(2)],
    `1 ${ratio(ferry, alone) <= 1 ? "met" : "MISSED"}`,
  ]),
);
say("Decoding:\n");
printTable(
  ["", "QEMU", "Ferry", "Ferry by QEMU"],
  measured.filter(({ times }) => times.decodeQemu.length > 0).map(
    ({ what, times: { decodeQemu, decodeFerry } }) => [
      ...[what, ns(decodeQemu), ns(decodeFerry)],
      ratio(decodeFerry, decodeQemu).toFixed(2),
    ],
  ),
);
