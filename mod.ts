/**
 * Ferry for programs: machines whose memory is shared, which move to other processes while they run, and
 * which speak QEMU's migration protocol.
 *
 * ```ts
 * import { Machine } from "./mod.ts";
 *
 * await using machine = await Machine.create({
 *   name: "room-17",
 *   ram: { heap: 64 * 1024 ** 2 },
 *   vcpus: ["beat"],
 * });
 * await machine.start();
 * const migration = machine.migrate("tcp:10.0.0.2:4444");
 * for await (const info of migration) console.log(info.status, info.ram?.remaining);
 * await migration.completed; // rejects with a typed error, and then the machine runs on here
 * ```
 *
 * @module
 */
export * from "./src/errors.ts";
export {
  type ArrivingMigration,
  type LeavingMigration,
  MigratableMachine as Machine,
  type MigratableMachineOptions as MachineOptions,
  type Migration,
  type MigrationOptions,
} from "./src/control/migratable_machine.ts";
export { MigrationControl } from "./src/control/migration_control.ts";
export type { CapabilityChanges, MigrateOptions } from "./src/control/migration_control_options.ts";
export type { Capabilities, CapabilityName } from "./src/control/capabilities.ts";
export type { ParameterChanges, ParameterName, Parameters } from "./src/control/parameters.ts";
export type {
  MigrationEvent,
  MigrationInfo,
  RamInfo,
  XbzrleCacheInfo,
} from "./src/control/migration_info.ts";
export type { MigrationStatus } from "./src/control/migration_status.ts";
export { QmpServer, type QmpServerOptions, serveQmp } from "./src/qmp/server.ts";
export type { Arrival } from "./src/control/machine_target.ts";
export type { DirtyLimiter, DirtyRateMeter, QmpTarget, VcpuDirtyLimit } from "./src/qmp/target.ts";
export type { DirtyRateMode, DirtyRateOptions, DirtyRateResult } from "./src/control/dirty_rate.ts";
export type { DirtyLogKind } from "./src/dirty/dirty_log.ts";
export type { Guest, GuestContext, GuestFactory } from "./src/machine/guest.ts";
export type { MachineDevice, RunStateChange, RunStateListener } from "./src/machine/machine.ts";
export type { RunState } from "./src/machine/run_state.ts";
export { digestRam, verifyRam } from "./src/machine/verify/ram_check.ts";
export * from "./src/vmstate/mod.ts";
export type { CAPABILITY_NAMES } from "./src/control/capabilities.ts";
export type { ChannelInfo } from "./src/control/channel_info.ts";
export type { MIGRATION_STATUSES } from "./src/control/migration_status.ts";
export type { BitmapMapping, MULTIFD_COMPRESSIONS } from "./src/control/parameters.ts";
export type { GuestRam, GuestRamLayout } from "./src/machine/guest_ram.ts";
export type { BeatSpec, GuestSpec, ProgramSpec, StressSpec } from "./src/machine/guest_spec.ts";
export type {
  Machine as BaseMachine,
  MachineOptions as BaseMachineOptions,
} from "./src/machine/machine.ts";
export type { PageBitmap, PageBitmapLayout } from "./src/machine/page_bitmap.ts";
export type { Presence, WantedPage } from "./src/machine/presence.ts";
export type {
  BITMAP_KINDS,
  BitmapKind,
  RamBlock,
  RamBlockLayout,
  RamSegment,
} from "./src/machine/ram_block.ts";
export type { RUN_STATES } from "./src/machine/run_state.ts";
export type { Vcpu } from "./src/machine/vcpu.ts";
export type { BlockDigest } from "./src/machine/verify/digest_blocks.ts";
export type { WrongPage } from "./src/machine/verify/find_wrong_page.ts";
export type {
  Command as VcpuCommand,
  COMMANDS,
  Counter,
  COUNTERS,
  Order,
} from "./src/threads/control_word.ts";
export type { SocketOptions } from "./src/transport/options.ts";
export type { TcpUri } from "./src/transport/tcp_uri.ts";
export type {
  ExecUri,
  FdUri,
  FileUri,
  MigrationUri,
  UnixUri,
  VsockUri,
} from "./src/transport/uri.ts";
export type { SocketAddress } from "./src/transport/uri_channels.ts";
