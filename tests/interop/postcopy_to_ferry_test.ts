/**
 * A QEMU's machine comes in by postcopy: it is given away first, and the rest of its pages follows.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import type { IncomingOptions } from "../../src/control/incoming_options.ts";
import type { PostcopyGuest } from "../../src/control/incoming_target.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { defaultParameters } from "../../src/control/parameters.ts";
import { Presence } from "../../src/machine/presence.ts";
import { probeHost } from "../../src/os/probe.ts";
import type { FaultKind } from "../../src/postcopy/missing_ram.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import type { Qemu } from "../support/qemu.ts";
import { describeDifference } from "../support/guest_memory.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { EventLog } from "../support/event_log.ts";
import { Tap } from "../support/tap.ts";
import type { TouchStart } from "./touch_pages.ts";
import "../support/load_libc.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");
const KINDS: readonly FaultKind[] = probeHost().missingPages === undefined
  ? ["userfaultfd", "checks"]
  : ["checks"];
const MIB = 1024 ** 2;
const guest = new SweepGuest({ size: 24 * MIB, fill: 1024, paceMs: 1 });
/** Slow enough for a switch in the middle of the first round. */
const PRECOPY_BANDWIDTH = 4 * MIB;

/** Keeps the machine, and reads its pages as a guest would that runs before they have come. */
class TouchingTarget extends ImageTarget implements AsyncDisposable {
  readonly presence = Presence.create(1);
  readonly #progress = new Int32Array(new SharedArrayBuffer(8));
  #asks = false;
  #toucher: WorkerHandle<TouchStart> | undefined;

  constructor() {
    super(() => Promise.resolve());
  }

  /** Resolves when every page was read. */
  get touched(): Promise<void> {
    return this.#toucher!.ended;
  }

  async touchedSome(pages: number): Promise<void> {
    for (let seen; (seen = Atomics.load(this.#progress, 0)) < pages;) {
      await Atomics.waitAsync(this.#progress, 0, seen).value;
    }
  }

  postcopyGuest(): PostcopyGuest {
    return {
      presence: this.presence,
      askForPages: (on) => Promise.resolve(void (this.#asks ||= on)),
      run: async (takeOver) => {
        takeOver();
        this.#toucher = await WorkerHandle.start<TouchStart>({
          name: "toucher",
          url: new URL("./touch_pages.ts", import.meta.url),
          start: {
            ram: this.image.ram.layout,
            block: "pc.ram",
            presence: this.presence.memory,
            asks: this.#asks,
            progress: this.#progress,
          },
          interrupt: () => Atomics.store(this.#progress, 1, 1),
        });
        return true;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#toucher?.stop();
  }
}

/** Everything a test looks at on Ferry's side. */
class Destination<Target extends ImageTarget> {
  readonly events = new EventLog<string>();
  readonly incoming: IncomingMigration;

  constructor(
    readonly target: Target,
    capabilities: Readonly<Record<string, boolean>>,
    options: Partial<IncomingOptions> = {},
  ) {
    this.incoming = new IncomingMigration(this.target, {
      uri: ANY_PORT,
      capabilities: changeCapabilities(defaultCapabilities(), capabilities),
      parameters: defaultParameters(),
      ...options,
      onEvent: (event: MigrationEvent) => {
        this.events.push(event.event === "MIGRATION" ? event.data.status : event.event);
      },
    });
  }

  get report(): string {
    const { status, "error-desc": error } = this.incoming.info();
    return `Ferry is ${status}: ${this.events.entries.join(" ")} ${error ?? ""}`;
  }

  [Symbol.dispose](): void {}

  async reached(status: string, times: number): Promise<void> {
    const count = () => this.events.entries.filter((each) => each === status).length;
    await this.events.wait(() => count() >= times, { what: `${status} ${times} times` });
  }
}

async function startSource(
  lab: QemuLab,
  version: QemuVersion,
  capabilities: Readonly<Record<string, boolean>>,
): Promise<Qemu> {
  // Each with its own machine: that decides when and how a QEMU opens and ends the preempt channel.
  const machine = `pc-i440fx-${version}`;
  const source = await lab.qemu(version, { name: "source", guest, ram: "32M", machine });
  await source.setCapabilities(capabilities);
  await source.setParameters({ "max-bandwidth": PRECOPY_BANDWIDTH });
  await source.serial.waitForHeartbeats(1);
  return source;
}

/** Checks every page of the image against the source's, which has stopped. */
async function assertSameAsSource(
  source: Qemu,
  { target }: Destination<ImageTarget>,
): Promise<void> {
  await source.waitForRunState("postmigrate");
  const ram = target.image.ram.block("pc.ram")!;
  for (const [start, size] of [[0, 0xa0000], [0x100000, ram.length - 0x100000]] as const) {
    const there = await source.readMemory(start, size);
    const here = Uint8Array.from(ram.view(start, size));
    assertEquals(describeDifference(there, here, start), undefined);
  }
  checkSweep(guest, Uint8Array.from(ram.view(guest.start, guest.size)));
  for (const block of target.image.ram.blocks) {
    assertEquals(block.received.count(), block.pageCount);
  }
  assert(target.image.sections.length > 5);
}

for (const version of ["10.0", "7.2"] as const) {
  for (const preempt of [false, true]) {
    qemuTest(
      `QEMU ${version} to an image by postcopy${preempt ? " with a preempt channel" : ""}`,
      { needs: [version] },
      async (lab) => {
        const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
        const source = await startSource(lab, version, capabilities);
        const target = new ImageTarget(() => Promise.resolve());
        const destination = lab.use(new Destination(target, capabilities));
        await source.migrate(formatUri(await destination.incoming.listening));
        await source.waitForStatus("active");
        await source.execute("migrate-start-postcopy");
        await source.waitForStatus("completed");
        const info = await destination.incoming.completed;
        assertEquals(info.status, "completed");
        assertEquals(destination.events.entries, [
          ...["setup", "active", "postcopy-device", "postcopy-active", "completed"],
        ]);
        await assertSameAsSource(source, destination);
      },
    );

    for (const wantedFaults of KINDS) {
      const how = `${wantedFaults}${preempt ? ", preempt" : ""}`;
      qemuTest(`QEMU ${version}'s pages come when they are used (${how})`, {
        needs: [version],
      }, async (lab) => {
        const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
        const source = await startSource(lab, version, capabilities);
        await source.setParameters({ "max-postcopy-bandwidth": MIB });
        const target = lab.use(new TouchingTarget());
        const destination = lab.use(
          new Destination(
            target,
            { ...capabilities, "postcopy-blocktime": true },
            { wantedFaults },
          ),
        );
        const { incoming } = destination;
        const tap = lab.use(new Tap({ to: formatUri(await incoming.listening), record: false }));
        await source.migrate(tap.uri);
        await source.waitForStatus("active");
        await source.execute("migrate-start-postcopy");
        const losses = [
          () => tap.cut(),
          () => source.execute("migrate-pause", {}, "exec-oob"),
          () => incoming.pause(),
        ];
        for (const [i, lose] of losses.entries()) {
          const times = i + 1;
          await target.touchedSome(500 * times);
          assertEquals(incoming.status, "postcopy-active");
          await lose();
          await source.waitForStatus("postcopy-paused");
          await destination.reached("postcopy-paused", times);
          const uri = await incoming.recover(ANY_PORT);
          await source.migrate(formatUri(uri), { resume: true });
          await destination.reached("postcopy-recover", times);
          await source.waitForStatus("postcopy-active");
        }
        await source.setParameters({ "max-postcopy-bandwidth": 0 });
        await source.waitForStatus("completed");
        const info = await incoming.completed;
        await target.touched;
        await assertSameAsSource(source, destination);
        assert((info["postcopy-blocktime"] ?? 0) > 0);
        assert((info["postcopy-latency-p50"] ?? 0) > 0);
        const { ram } = await source.queryMigrate();
        assert((ram?.["postcopy-requests"] ?? 0) > 20, `${ram?.["postcopy-requests"]} requests`);
      });
    }
  }
}
