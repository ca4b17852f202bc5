/**
 * The guest `beat`: see `beat.wat`.
 *
 * @module
 */
import type { GuestChecks } from "../guest_checks.ts";
import type { GuestRam } from "../guest_ram.ts";
import { beatWasm } from "./beat.wasm.ts";
import { blockTag, checkImports, type Part, type PartExports, sharesOf } from "./part.ts";

interface BeatExports extends PartExports {
  setup(base: number, pages: number, size: number, first: number, tag: number): void;
}

/** Makes a vCPU's instances, at the beginning of the first sweep. */
export function beatParts(ram: GuestRam, vcpu: number, vcpus: number, checks: GuestChecks): Part[] {
  const module = new WebAssembly.Module(beatWasm);
  return sharesOf(ram, vcpu, vcpus).map((share) => {
    const { block, segment, address, pages, firstPage } = share;
    const { exports } = new WebAssembly.Instance(module, {
      env: { memory: segment.memory },
      ferry: checkImports(block, segment, checks),
    }) as { exports: BeatExports };
    exports.setup(address, pages, ram.pageSize, firstPage, blockTag(block.name));
    return { ...share, exports };
  });
}
