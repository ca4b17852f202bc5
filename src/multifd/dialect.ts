/**
 * The two ways of multifd (wire-format §0 and §6.6). QEMU derives them from the machine type's version,
 * which both sides know; so do we when we send. A receiver sees it in the stream: only in the modern
 * dialect does the setup end with a flush record.
 *
 * @module
 */

/** When the channels are synchronised, and where zero pages go. */
export interface MultifdDialect {
  /** Whether every section of RAM ends with a SYNC on each channel, and not only every round. */
  readonly syncEachSection: boolean;
  /** Whether a packet can list zero pages, which QEMU can since 9.0. */
  readonly zeroLists: boolean;
}

/** Between two Ferrys, and with QEMU since its machine types of 9.0. */
export const MODERN_DIALECT: MultifdDialect = { syncEachSection: false, zeroLists: true };

/**
 * The dialect that a QEMU with this machine type expects.
 * @param machine The machine type as the stream names it, such as `pc-i440fx-7.2`; one without a version
 * is no versioned QEMU machine, and modern.
 */
export function dialectOf(machine: string): MultifdDialect {
  const match = /-(\d+)\.(\d+)$/.exec(machine);
  if (!match) return MODERN_DIALECT;
  const version = Number(match[1]) * 1000 + Number(match[2]);
  return { syncEachSection: version <= 8000, zeroLists: version >= 9000 };
}
