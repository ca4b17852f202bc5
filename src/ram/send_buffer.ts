/**
 * How large a buffer must be from which pages are sent: in postcopy the records of one page of the host's
 * are in it all at once.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import { RECORD_HEADER_MAX } from "./record_encoder.ts";

/** The largest page of the host's that is sent as one, in bytes. */
export const HOST_PAGE_MAX = 2 * 1024 ** 2;

/**
 * How many bytes the records of some pages take, at most.
 * @param bytes The pages' own bytes.
 * @param whole Whether they are whole pages of the host's: then the largest of those counts, if it is more.
 */
export function recordsSize(ram: GuestRam, bytes: number, whole: boolean): number {
  const hostPages = whole ? ram.blocks.map(({ hostPageSize }) => hostPageSize) : [];
  const most = Math.max(bytes, ...hostPages.filter((size) => size <= HOST_PAGE_MAX));
  return most + most / ram.pageSize * RECORD_HEADER_MAX;
}
