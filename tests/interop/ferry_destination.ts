/**
 * Ferry as the destination of a QEMU's postcopy.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import type { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import type { IncomingOptions } from "../../src/control/incoming_options.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { defaultParameters } from "../../src/control/parameters.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { EventLog } from "../support/event_log.ts";
import { describeDifference } from "../support/guest_memory.ts";
import type { Qemu } from "../support/qemu.ts";
import { checkSweep } from "../support/sweep_check.ts";
import type { SweepGuest } from "../support/sweep_guest.ts";

/** Everything a test looks at on Ferry's side. */
export class Destination<Target extends ImageTarget> {
  /** Its statuses and other events. */
  readonly events = new EventLog<string>();
  /** The migration. */
  readonly incoming: IncomingMigration;

  /**
   * Begins to listen.
   * @param target Where the machine goes.
   * @param capabilities Those that are not as by default.
   */
  constructor(
    readonly target: Target,
    capabilities: Readonly<Record<string, boolean>>,
    options: Partial<IncomingOptions> = {},
  ) {
    this.incoming = new IncomingMigration(this.target, {
      uri: parseUri("tcp:127.0.0.1:0"),
      capabilities: changeCapabilities(defaultCapabilities(), capabilities),
      parameters: defaultParameters(),
      ...options,
      onEvent: (event: MigrationEvent) => {
        this.events.push(event.event === "MIGRATION" ? event.data.status : event.event);
      },
    });
  }

  /** What to say of it when a test fails. */
  get report(): string {
    const { status, "error-desc": error } = this.incoming.info();
    return `Ferry is ${status}: ${this.events.entries.join(" ")} ${error ?? ""}`;
  }

  [Symbol.dispose](): void {}

  /** Waits for a status. @param times How often it must have come. */
  async reached(status: string, times: number): Promise<void> {
    const count = () => this.events.entries.filter((each) => each === status).length;
    await this.events.wait(() => count() >= times, { what: `${status} ${times} times` });
  }
}

/** Checks every page of the image against the source's, which has stopped. */
export async function assertSameAsSource(
  source: Qemu,
  { target }: Destination<ImageTarget>,
  guest: SweepGuest,
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
