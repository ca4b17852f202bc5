/**
 * Looking for pages of zeros: the SIMD kernel beside plain JavaScript, over 64 MiB of zeros and over pages
 * whose last byte alone is set, which is as much work. Each iteration is 64 MiB.
 *
 * @module
 */
import { bindRamRecords } from "../src/kernels/ram_records.ts";

const LENGTH = 64 * 1024 ** 2;
const PAGE = 4096;

function makeMemory(length: number): WebAssembly.Memory {
  const pages = Math.ceil(length / 65536);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

const ram = makeMemory(LENGTH);
const words = new Float64Array(ram.buffer);
const bytes = new Uint8Array(ram.buffer);
const kernel = bindRamRecords(ram, makeMemory(65536), makeMemory(65536));

/** What one would write without SIMD: words of 64 bits, of which none may have a bit. */
function countZeroPages(): number {
  let count = 0;
  const integers = new Int32Array(ram.buffer);
  for (let page = 0; page < integers.length; page += PAGE / 4) {
    let bits = 0;
    for (let i = page; bits === 0 && i < page + PAGE / 4; i++) bits |= integers[i]!;
    if (bits === 0) count++;
  }
  return count;
}

for (const content of ["zeros", "last byte set"] as const) {
  const fill = () => {
    words.fill(0);
    if (content === "zeros") return;
    for (let at = PAGE - 1; at < LENGTH; at += PAGE) bytes[at] = 1;
  };
  const expected = content === "zeros" ? LENGTH / PAGE : 0;
  const check = (count: number) => {
    if (count !== expected) throw new Error(`${count} pages of zeros, not ${expected}`);
  };
  const group = `zero scan, 64 MiB: ${content}`;
  Deno.bench({
    ...{ name: "plain JavaScript", group, baseline: true, n: 20, warmup: 3 },
    fn(bench) {
      fill();
      bench.start();
      check(countZeroPages());
      bench.end();
    },
  });
  Deno.bench({
    ...{ name: "kernel", group, n: 20, warmup: 3 },
    fn(bench) {
      fill();
      bench.start();
      check(kernel.count_zero(0, PAGE, LENGTH / PAGE));
      bench.end();
    },
  });
}
