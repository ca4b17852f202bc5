/**
 * XBZRLE: encoding 1024 pages of which something changed, by the kernel and by the loop that one would
 * write without it; and placing the records. `bench/xbzrle.ts` and `bench/converge.ts` compare with QEMU.
 *
 * @module
 */
import { bindXbzrle } from "../src/kernels/xbzrle.ts";
import { bindRamRecords } from "../src/kernels/ram_records.ts";

const PAGE = 4096;
const PAGES = 1024;

const memory = (pages: number) =>
  new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
const ram = memory(PAGES * PAGE / 65536 + 1);
const cache = memory(PAGES * PAGE / 65536 + 1);
const io = memory(2);
const now = new Uint8Array(ram.buffer);
const old = new Uint8Array(cache.buffer);
const out = new Uint8Array(io.buffer);
const encoder = bindXbzrle(ram, cache, io, memory(1));
const decoder = bindRamRecords(ram, io, memory(1));

/** As plain as can be, without being slow on purpose. */
function encodePlain(page: number): number {
  const end = page + PAGE;
  let to = 0;
  for (let at = page; at < end;) {
    if (to + 2 > PAGE) return -1;
    const start = at;
    while (at < end && old[at] === now[at]) at++;
    if (at === end) break;
    to = writeLength(to, at - start);
    if (to + 2 > PAGE) return -1;
    const from = at;
    while (at < end && old[at] !== now[at]) at++;
    to = writeLength(to, at - from);
    if (to + at - from > PAGE) return -1;
    for (let i = from; i < at; i++) out[to++] = old[i] = now[i]!;
  }
  return to;
}

function writeLength(to: number, length: number): number {
  if (length < 0x80) {
    out[to] = length;
    return to + 1;
  }
  out[to] = length & 0x7f | 0x80;
  out[to + 1] = length >> 7;
  return to + 2;
}

let step = 0;
/** How a page changes between two rounds. */
const CHANGES: Readonly<Record<string, (page: number) => void>> = {
  "nothing": () => {},
  "one byte": (page) => now[page + step % PAGE]!++,
  "eight runs of four bytes": (page) => {
    for (let run = 0; run < 8; run++) now.fill(step, page + run * 500, page + run * 500 + 4);
  },
  "every eighth byte": (page) => {
    for (let i = 0; i < PAGE; i += 8) now[page + i]!++;
  },
  "every second byte, which is too much": (page) => {
    for (let i = 0; i < PAGE; i += 2) now[page + i]!++;
  },
};

for (const [what, change] of Object.entries(CHANGES)) {
  const encoders = {
    "the kernel": (page: number) => encoder.encode(page, page, PAGE, 0),
    "a loop": encodePlain,
  };
  for (const [name, encode] of Object.entries(encoders)) {
    Deno.bench({
      name,
      group: `1024 pages, changed: ${what}`,
      baseline: name === "a loop",
      n: 30,
      warmup: 5,
      fn(bench) {
        for (let i = 0; i < PAGES * PAGE; i += 4) now[i] = old[i] = i >> 8;
        step++;
        for (let page = 0; page < PAGES; page++) change(page * PAGE);
        bench.start();
        for (let page = 0; page < PAGES; page++) encode(page * PAGE);
        bench.end();
      },
    });
  }
}

now.fill(0);
old.fill(0);
step = 1;
CHANGES["eight runs of four bytes"]!(0);
const length = encoder.encode(0, 0, PAGE, 0);
Deno.bench("placing the differences of 1024 pages, eight runs each", () => {
  for (let page = 0; page < PAGES; page++) decoder.xbzrle(0, length, page * PAGE, PAGE);
});
