/**
 * A destination's large pages (hugetlbfs). In postcopy a page of the host's is placed as a whole, so its
 * records must come one after the other, and both sides must mean pages of the same size (wire-format §5.2
 * and §8.2). A stream that was saved without postcopy does not say how large they were.
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";

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
  const { layout } = ram;
  return {
    ram: new GuestRam({
      ...layout,
      blocks: layout.blocks.map((block) => ({
        ...block,
        hostPageSize: sizeOf(block.name) ?? block.hostPageSize,
      })),
    }),
    blocks: blocks.map((block) => {
      const hostPageSize = sizeOf(block.name);
      return { ...block, ...hostPageSize !== undefined && { hostPageSize } };
    }),
  };
}
