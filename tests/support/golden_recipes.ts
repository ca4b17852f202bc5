/**
 * How the streams of `tests/golden` were made: the machine, the settings and the way of each.
 *
 * The machine is as small as QEMU allows, and its firmware is our own guest, so that captures are small and
 * carry nobody else's code.
 *
 * @module
 */
import {
  captureBitmapsInPostcopy,
  captureDirtyBitmaps,
  captureFile,
  captureMultifd,
  capturePostcopy,
  captureRecovery,
  captureReturnPath,
  captureStream,
  type Parts,
} from "./golden_capture.ts";
import type { JsonObject } from "./json.ts";
import type { QemuOptions } from "./qemu.ts";
import type { QemuLab } from "./qemu_lab.ts";
import type { QemuVersion } from "./qemu_program.ts";
import { SweepGuest } from "./sweep_guest.ts";

/** How one capture is made. */
export interface GoldenRecipe {
  /** What is special about it. */
  readonly about: string;
  readonly version: QemuVersion;
  /** The machine, at the source and at the destination; its files are in `dir`. */
  readonly machine: (dir: string) => Omit<QemuOptions, "version">;
  /** Capabilities that are on, on both sides. */
  readonly capabilities?: readonly string[];
  /** Parameters, on both sides. */
  readonly parameters?: JsonObject;
  /** Makes it. */
  readonly capture: (lab: QemuLab, recipe: GoldenRecipe) => Promise<Parts>;
  /** Whether `main` is a whole stream that a QEMU with the same machine loads from a file. */
  readonly loads: boolean;
}

/** 32 pages in low memory, each with a little that compresses badly. */
const guest = new SweepGuest({ start: 0x10000, size: 0x20000, fill: 64 });
/** Eight counts in each page, none at its beginning: XBZRLE has several runs to write. */
const runsGuest = new SweepGuest({
  start: 0x10123,
  size: 0x40000,
  stride: 512,
  fill: 64,
});
/** More pages than go at once, so that the guest runs into some that are missing. */
const postcopyGuest = new SweepGuest({ start: 0x100000, size: 0x100000, fill: 32 });
const UUID = "6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab";

const pc = (version: QemuVersion, more: Omit<QemuOptions, "version"> = {}) => () => ({
  ...{ machine: `pc-i440fx-${version}`, ram: "1M", guest, delivery: "firmware" as const },
  ...more,
});
const none = () => ({ machine: "none", paused: true });
const shared = (dir: string) => ({
  ...pc("10.0")(),
  machine: "pc-i440fx-10.0,memory-backend=ram",
  args: [
    ...["-object", `memory-backend-file,id=ram,size=1M,mem-path=${dir}/ram,share=on`],
    ...["-uuid", UUID],
  ],
});
const postcopyPc = (version: QemuVersion) => pc(version, { ram: "3M", guest: postcopyGuest });
const withDisk = (dir: string) => ({
  ...pc("10.0")(),
  args: ["-blockdev", `driver=file,node-name=disk,filename=${dir}/disk`],
});

/** Every capture, by its name. */
export const GOLDEN_RECIPES: Readonly<Record<string, GoldenRecipe>> = {
  "none-10.0": {
    about: "The smallest stream there is: no RAM, two device sections",
    ...{ version: "10.0", machine: none, capture: captureStream, loads: true },
  },
  "none-7.2": {
    about: "The same from 7.2: no SWITCHOVER_START, another description",
    ...{ version: "7.2", machine: none, capture: captureStream, loads: true },
  },
  "pc-10.0": {
    about: "A running PC with 1 MiB of RAM and all its devices",
    ...{ version: "10.0", machine: pc("10.0"), capture: captureStream, loads: true },
  },
  "pc-7.2": {
    about: "The same from 7.2 with its own machine type",
    ...{ version: "7.2", machine: pc("7.2"), capture: captureStream, loads: true },
  },
  "xbzrle-10.0": {
    about: "XBZRLE records with several runs, over several rounds",
    ...{ version: "10.0", machine: pc("10.0", { guest: runsGuest }), loads: true },
    ...{ capabilities: ["xbzrle"], capture: captureStream },
    parameters: { "max-bandwidth": 500_000, "downtime-limit": 1 }, // slow enough for a third round
  },
  "compress-7.2": {
    about: "COMPRESS_PAGE records, which only old QEMUs write",
    ...{ version: "7.2", machine: pc("7.2"), loads: true },
    ...{ capabilities: ["compress"], capture: captureStream },
  },
  "ignore-shared-10.0": {
    about: "Configuration subsections `capabilities` and `uuid`, and an address for each RAM block",
    ...{ version: "10.0", machine: shared, loads: true },
    ...{ capabilities: ["x-ignore-shared", "validate-uuid"], capture: captureStream },
  },
  "background-snapshot-10.0": {
    about: "A background snapshot: no END section of RAM, the devices last",
    ...{ version: "10.0", machine: pc("10.0"), loads: true },
    ...{ capabilities: ["background-snapshot"], capture: captureStream },
  },
  "mapped-ram-10.0": {
    about: "A file with every page at its place",
    ...{ version: "10.0", machine: pc("10.0"), loads: true },
    ...{ capabilities: ["mapped-ram"], capture: captureFile },
  },
  "dirty-bitmap-10.0": {
    about: "Two dirty bitmaps of a disk, one with bits in it, in precopy",
    ...{ version: "10.0", machine: withDisk, loads: true },
    ...{ capabilities: ["dirty-bitmaps"], capture: captureDirtyBitmaps },
    parameters: { "max-bandwidth": 500_000 }, // without a limit QEMU writes megabytes of empty parts
  },
  "dirty-bitmap-postcopy-10.0": {
    about: "The same with the bits in postcopy",
    ...{ version: "10.0", machine: withDisk, loads: false },
    ...{ capabilities: ["dirty-bitmaps", "return-path"], capture: captureBitmapsInPostcopy },
    parameters: { "max-bandwidth": 500_000, "downtime-limit": 0 }, // so that they do not go in precopy
  },
  "return-path-10.0": {
    about: "Precopy with a return path: SWITCHOVER_ACK, PONG and SHUT in `main.back`",
    ...{ version: "10.0", machine: pc("10.0"), loads: false },
    ...{ capabilities: ["return-path", "switchover-ack"], capture: captureReturnPath },
  },
  "multifd-10.0": {
    about: "Two multifd channels, not compressed, zero pages in the packets",
    ...{ version: "10.0", machine: pc("10.0"), loads: false },
    ...{ capabilities: ["multifd"], capture: captureMultifd },
  },
  "multifd-zlib-10.0": {
    about: "Two multifd channels, a zlib stream on each",
    ...{ version: "10.0", machine: pc("10.0"), loads: false },
    ...{ capabilities: ["multifd"], capture: captureMultifd },
    parameters: { "multifd-compression": "zlib" },
  },
  "multifd-zstd-10.0": {
    about: "Two multifd channels, a zstd frame on each",
    ...{ version: "10.0", machine: pc("10.0"), loads: false },
    ...{ capabilities: ["multifd"], capture: captureMultifd },
    parameters: { "multifd-compression": "zstd" },
  },
  "multifd-7.2": {
    about: "The legacy dialect: a sync at every EOS, zero pages on the main channel, stale bytes",
    ...{ version: "7.2", machine: pc("7.2"), loads: false },
    ...{ capabilities: ["multifd"], capture: captureMultifd },
  },
  "multifd-zstd-7.2": {
    about: "The legacy dialect with a zstd frame on each channel",
    ...{ version: "7.2", machine: pc("7.2"), loads: false },
    ...{ capabilities: ["multifd"], capture: captureMultifd },
    parameters: { "multifd-compression": "zstd" },
  },
  "postcopy-10.0": {
    about: "A switch to postcopy, with page requests on the return path",
    ...{ version: "10.0", machine: postcopyPc("10.0"), loads: false },
    ...{ capabilities: ["postcopy-ram"], capture: capturePostcopy },
  },
  "postcopy-7.2": {
    about: "The same from 7.2",
    ...{ version: "7.2", machine: postcopyPc("7.2"), loads: false },
    ...{ capabilities: ["postcopy-ram"], capture: capturePostcopy },
  },
  "postcopy-preempt-10.0": {
    about: "Postcopy with a channel of its own for requested pages",
    ...{ version: "10.0", machine: postcopyPc("10.0"), loads: false },
    ...{ capabilities: ["postcopy-ram", "postcopy-preempt"], capture: capturePostcopy },
  },
  "postcopy-preempt-7.2": {
    about: "The same from 7.2: the channel comes at once and ends with an EOS record",
    ...{ version: "7.2", machine: postcopyPc("7.2"), loads: false },
    ...{ capabilities: ["postcopy-ram", "postcopy-preempt"], capture: capturePostcopy },
  },
  "postcopy-recover-10.0": {
    about: "A link lost in postcopy, and the recovery on a new one",
    ...{ version: "10.0", machine: postcopyPc("10.0"), loads: false },
    ...{ capabilities: ["postcopy-ram"], capture: captureRecovery },
  },
};
