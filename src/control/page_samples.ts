/**
 * Digests of some pages of RAM, to see later which of them were written (QEMU `migration/dirtyrate.c`, mode
 * page-sampling). So many pages of each GiB are taken, at random; they tell of the rest.
 *
 * The digests have 32 bits, as QEMU's have: that one in four thousand million changes is missed does not
 * change a rate.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";

const GIB = 1024 ** 3;
/** So many pages are taken at least of a block that has them: a rate from fewer would be a guess. */
const PAGES_MIN = 64;
/** After so many pages others get their turn. */
const PAGES_AT_ONCE = 1024;

interface Sample {
  readonly block: RamBlock;
  readonly pages: Uint32Array;
  readonly digests: Int32Array;
}

/** The pages of one measurement. */
export class PageSamples {
  private constructor(private readonly pageSize: number, private readonly samples: Sample[]) {}

  /**
   * Takes samples.
   * @param perGib How many pages of each GiB.
   * @param signal Gives up.
   */
  static async take(ram: GuestRam, perGib: number, signal: AbortSignal): Promise<PageSamples> {
    const samples = ram.blocks.filter(({ pageCount }) => pageCount > 0).map((block): Sample => {
      const wanted = Math.max(PAGES_MIN, Math.round(block.length / GIB * perGib));
      const count = Math.min(block.pageCount, wanted);
      const pages = Uint32Array.from(
        { length: count },
        (_, i) => Math.floor((i + Math.random()) * block.pageCount / count),
      );
      return { block, pages, digests: new Int32Array(count) };
    });
    const made = new PageSamples(ram.pageSize, samples);
    await made.#visit(signal, (sample, i, digest) => sample.digests[i] = digest);
    return made;
  }

  /**
   * Looks which of the pages were written since.
   * @param signal Gives up.
   * @returns How many bytes of RAM are written, as far as the samples tell.
   */
  async written(signal: AbortSignal): Promise<number> {
    let bytes = 0;
    await this.#visit(signal, (sample, i, digest) => {
      if (sample.digests[i] !== digest) bytes += sample.block.length / sample.pages.length;
    });
    return bytes;
  }

  async #visit(
    signal: AbortSignal,
    visit: (sample: Sample, index: number, digest: number) => void,
  ): Promise<void> {
    let visited = 0;
    for (const sample of this.samples) {
      for (let i = 0; i < sample.pages.length; i++) {
        visit(sample, i, digestOf(sample.block, sample.pages[i]! * this.pageSize, this.pageSize));
        if (++visited % PAGES_AT_ONCE === 0) {
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
        signal.throwIfAborted();
      }
    }
  }
}

/** A digest of a page, which each of its words changes in another way. */
function digestOf(block: RamBlock, offset: number, length: number): number {
  const { memory, base, offset: start } = block.segmentAt(offset);
  const words = new Int32Array(memory.buffer, base + offset - start, length / 4);
  let digest = 0x2545f491;
  for (let i = 0; i < words.length; i++) {
    digest = Math.imul(digest ^ words[i]!, 0x01000193);
    digest ^= digest >>> 15;
  }
  return digest;
}
