/**
 * The other side's large pages (hugetlbfs). In postcopy a page of the host's is placed as a whole, so its
 * records must come one after the other, and both sides must mean pages of the same size (wire-format §5.2
 * and §8.2). Here RAM can have pages of any size, so they are what the other side has: a source says it, and
 * of a destination the user does, because a stream that was saved without postcopy does not.
 *
 * @module
 */
import { IncompatibleError, SettingError } from "../errors.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import { pageSizesOf, type RamBlockEntry } from "../ram/block_list.ts";

/** Page sizes in bytes, by the names of the RAM blocks that have others than the host's. */
export type HostPages = Readonly<Record<string, number>>;

/** RAM and its list, as a stream has them. */
export interface ListedRam {
  readonly ram: GuestRam;
  readonly blocks: readonly RamBlockEntry[];
}

/**
 * Gives some blocks larger pages; the memory stays the same.
 * @throws {SettingError} If there is no such block, or it is not whole pages of that size.
 */
export function withHostPages({ ram, blocks }: ListedRam, pages: HostPages): ListedRam {
  for (const [name, size] of Object.entries(pages)) {
    const block = ram.block(name);
    if (!block) {
      const names = ram.blocks.map((each) => each.name).join(", ");
      throw new SettingError(`There is no RAM block "${name}"`, { advice: `There are ${names}.` });
    }
    if (size < ram.pageSize || !Number.isInteger(Math.log2(size)) || block.length % size !== 0) {
      throw new SettingError(
        `RAM block "${name}" of ${block.length} bytes is not whole pages of ${size} bytes`,
      );
    }
  }
  const sizeOf = (name: string) => Object.hasOwn(pages, name) ? pages[name] : undefined;
  return {
    ram: withPages(ram, sizeOf),
    blocks: blocks.map((block) => {
      const hostPageSize = sizeOf(block.name);
      return { ...block, ...hostPageSize !== undefined && { hostPageSize } };
    }),
  };
}

/**
 * Gives RAM the pages that a source has; the memory stays the same.
 * @param blocks The source's list, in which blocks have a page size if it is not that of the source's host.
 * @param announced All page sizes there, a bit for each; 0 if it said none, and there will be no postcopy.
 * @throws {IncompatibleError} If a block is not whole pages.
 */
export function withSourcePages(
  ram: GuestRam,
  blocks: readonly RamBlockEntry[],
  announced: number,
): GuestRam {
  // No page is smaller than the host's own.
  const [ordinary] = pageSizesOf(announced);
  if (ordinary === undefined) return ram;
  const sizes = new Map(blocks.map(({ name, hostPageSize = ordinary }) => [name, hostPageSize]));
  for (const { name, length } of blocks) {
    const size = sizes.get(name)!;
    if (length % size === 0) continue;
    throw new IncompatibleError(
      `RAM block "${name}" of ${length} bytes is not whole pages of ${size} bytes`,
    );
  }
  return withPages(ram, (name) => sizes.get(name));
}

function withPages({ layout }: GuestRam, sizeOf: (name: string) => number | undefined): GuestRam {
  const blocks = layout.blocks.map((block) => ({
    ...block,
    hostPageSize: sizeOf(block.name) ?? block.hostPageSize,
  }));
  return new GuestRam({ ...layout, blocks });
}
