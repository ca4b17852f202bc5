/**
 * What the outgoing state machine needs of what it moves: a machine that runs, or an image of one.
 *
 * @module
 */
import type { DirtyLogChoice } from "../dirty/choose.ts";
import type { PageFile } from "../ram/page_index.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import type { Configuration } from "../wire/configuration.ts";
import type { VcpuDirtyLimit } from "./dirty_limit.ts";

/** The source's machine. */
export interface OutgoingMachine {
  readonly configuration: Configuration;
  /** Which machine it is, 16 bytes; for `validate-uuid` and the channels of multifd. */
  readonly uuid?: Uint8Array<ArrayBuffer>;
  readonly ram: GuestRam;
  /** Where pages are read from, if `ram` has none of them. */
  readonly pages?: PageFile;
  /** The list of blocks as the stream announces it. */
  readonly blocks: readonly RamBlockEntry[];
  /** How the stream's elements refer to the `ram` section. */
  readonly ramSectionId: number;
  /** Whether the stream says SWITCHOVER_START, which QEMUs before 10.0 do not know. */
  readonly sendsSwitchoverStart: boolean;
  /** Whether a guest is running. */
  readonly running: boolean;
  /** Why the machine cannot be migrated, if it cannot. */
  readonly blockers: readonly string[];
  /** The devices that its guest must still give back before it can move; where there are some. */
  pendingUnplugs?(): readonly string[];
  /** Sets the dirty bits of the pages that must be sent at least once, and `untouched` of those never written. */
  markAllDirty(): void;
  /** Starts the log of the guest's writes; an image, which nobody writes, has none. */
  startDirtyLog(): Promise<DirtyLogChoice | undefined>;
  /** Ends the log. */
  stopDirtyLog(): Promise<void>;
  /** Takes a share of their time from the vCPUs, in percent; where there are some. */
  throttle?(percent: number): void;
  /** What limits each vCPU's writing; where there are some. */
  readonly dirtyLimit?: VcpuDirtyLimit;
  /** Stops the guest for the switchover. Its RAM and devices do not change from then on. */
  stop(): Promise<void>;
  /** Undoes {@linkcode stop}: the guest runs on if it ran before. */
  runOn(): Promise<void>;
  /** The machine is the destination's now. */
  handedOver(): Promise<void>;
  /**
   * Appends all sections that are sent once, of the stopped machine.
   * @param sent The configuration that the stream began with.
   * @returns The JSON description of the stream.
   */
  saveDevices(writer: ByteWriter, sent: Configuration): Uint8Array;
}
