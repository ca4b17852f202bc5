/**
 * The guest `stress`: see `stress.wat`.
 *
 * @module
 */
import type { GuestChecks } from "../guest_checks.ts";
import type { GuestRam } from "../guest_ram.ts";
import type { StressSpec } from "../guest_spec.ts";
import { blockTag, checkImports, type Part, type PartExports, sharesOf } from "./part.ts";
import { stressWasm } from "./stress.wasm.ts";
import { logText } from "./text.ts";

/** What the module exports besides. */
export interface StressExports extends PartExports {
  /** Its own memory: a page that was made, and from {@linkcode TEXT_AT} on the text. */
  readonly own: WebAssembly.Memory;
  setup(base: number, pages: number, size: number, first: number, seed: bigint): void;
  style(stride: number, inverse: number, zero: number, text: number, words: number): void;
  /** Makes what a page holds in a generation, at the start of `own`. */
  make(page: number, generation: number): void;
  /** Whether a page is what was made. */
  same(page: number): number;
}

const TEXT_AT = 65536;
/** Places to begin at, and the longest piece. */
const TEXT_LENGTH = 4096 + 64;

/** Makes a vCPU's instances, at the beginning of the first sweep. */
export function stressParts(
  ram: GuestRam,
  vcpu: number,
  vcpus: number,
  checks: GuestChecks,
  spec: StressSpec,
): Part<StressExports>[] {
  const module = new WebAssembly.Module(stressWasm);
  const text = logText(TEXT_LENGTH);
  return sharesOf(ram, vcpu, vcpus).map((share) => {
    const { block, segment, address, pages, firstPage } = share;
    const { exports } = new WebAssembly.Instance(module, {
      env: { memory: segment.memory },
      ferry: checkImports(block, segment, checks),
    }) as { exports: StressExports };
    new Uint8Array(exports.own.buffer).set(text, TEXT_AT);
    const seed = BigInt(spec.seed) * 0x9e3779b97f4a7c15n + (BigInt(blockTag(block.name)) << 32n);
    exports.setup(address, pages, ram.pageSize, firstPage, BigInt.asIntN(64, seed));
    const stride = spec.order === "scattered" ? strideOf(pages) : 1;
    exports.style(
      stride,
      inverseOf(stride, pages),
      spec.zero,
      spec.zero + spec.text,
      Number(spec.write === "word"),
    );
    return { ...share, exports };
  });
}

/** A number without a common divisor with `pages`, near the golden section: neighbours end up far apart. */
function strideOf(pages: number): number {
  let stride = Math.max(1, Math.floor(pages * 0.618));
  while (commonDivisor(stride, pages) !== 1) stride++;
  return stride;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** The number that times `stride` is 1 modulo `pages`. */
function inverseOf(stride: number, pages: number): number {
  let [rest, next] = [pages, stride % pages];
  let [factor, nextFactor] = [0, 1];
  while (next !== 0) {
    const quotient = Math.floor(rest / next);
    [rest, next] = [next, rest - quotient * next];
    [factor, nextFactor] = [nextFactor, factor - quotient * nextFactor];
  }
  return ((factor % pages) + pages) % pages;
}
