import { assert, assertEquals } from "@std/assert";
import { IncomingMigration, type IncomingOptions } from "../../src/control/incoming.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { Machine } from "../../src/machine/machine.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import type { FaultKind } from "../../src/postcopy/missing_ram.ts";
import { probeHost } from "../../src/os/probe.ts";
import { type MigrationUri, parseUri } from "../../src/transport/uri.ts";
import { EventLog } from "../support/event_log.ts";
import { until } from "../machine/fixtures/until.ts";
import { settings } from "./fixtures/pair.ts";
import { ScriptedSource } from "./fixtures/scripted_source.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");
const PAGES = 256;
const GUEST = "stress,rate=max,seed=7";
const KINDS: readonly FaultKind[] = probeHost().missingPages === undefined
  ? ["userfaultfd", "checks"]
  : ["checks"];

/** A machine that has run and stands still, a source that sends it, and where it arrives. */
class Postcopy implements AsyncDisposable {
  readonly events = new EventLog<string>();
  readonly source: ScriptedSource;
  readonly incoming: IncomingMigration;
  uri!: MigrationUri;

  private constructor(
    readonly from: Machine,
    readonly to: Machine,
    options: Partial<IncomingOptions>,
    capabilities: Readonly<Record<string, boolean>>,
  ) {
    this.source = new ScriptedSource(from);
    this.incoming = new IncomingMigration(new MachineTarget(to), {
      uri: ANY_PORT,
      ...settings({ "postcopy-ram": true, "postcopy-blocktime": true, ...capabilities }),
      ...options,
      onEvent: (event) => {
        this.events.push(event.event === "MIGRATION" ? event.data.status : event.event);
      },
    });
  }

  static async begin(
    options: Partial<IncomingOptions> = {},
    capabilities: Readonly<Record<string, boolean>> = {},
    vcpus: readonly string[] = [GUEST],
  ): Promise<Postcopy> {
    const make = () =>
      Machine.create({ name: "m", ram: { ram: PAGES * 4096, more: 3 * 4096 }, vcpus });
    const [from, to] = await Promise.all([make(), make()]);
    await from.start();
    await until(() => from.counters.pages >= 2 * PAGES);
    const postcopy = new Postcopy(from, to, options, capabilities);
    await from.stop("finish-migrate");
    postcopy.uri = await postcopy.incoming.listening;
    return postcopy;
  }

  get report(): string {
    return JSON.stringify([this.events.entries, this.incoming.info(), this.source.said.entries.length, this.to.counters, this.source.requested.length]);
  }

  async reached(status: string, times = 1): Promise<void> {
    const count = () => this.events.entries.filter((each) => each === status).length;
    await this.events.wait(() => count() >= times, { what: `${status} ${times} times` });
  }

  /** Lets the guest work on, then looks at every page. */
  async verify(): Promise<void> {
    const { pages } = this.to.counters;
    await until(() => this.to.counters.pages >= pages + 2 * PAGES);
    await this.to.stop();
    assertEquals(await verifyRam(this.to), undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.source[Symbol.dispose]();
    await this.to[Symbol.asyncDispose]();
    await this.from[Symbol.asyncDispose]();
  }
}

for (const wantedFaults of KINDS) {
  for (const preempt of [false, true]) {
    const how = `${wantedFaults}${preempt ? ", with a preempt channel" : ""}`;
    Deno.test(`A guest runs before its pages have come (${how})`, async () => {
      await using postcopy = await Postcopy.begin({ wantedFaults }, { "postcopy-preempt": preempt });
      const { source, incoming, to } = postcopy;
      await source.begin(postcopy.uri, 40);
      if (preempt) await source.openPreempt(postcopy.uri);
      await source.give();
      await postcopy.reached("RESUME");
      // It asks for every page it uses, and nothing else is sent.
      await until(() => to.counters.pages >= 2 * PAGES);
      assert(source.requested.length >= PAGES - 40, `${source.requested.length} requests`);
      assertEquals(new Set(source.requested).size, PAGES - 40 + 3, "each page once");
      assertEquals(incoming.status, "postcopy-active");
      await source.finish();
      const info = await incoming.completed;
      assertEquals(postcopy.events.entries, [
        ...["setup", "active", "postcopy-device", "postcopy-active", "RESUME", "completed"],
      ]);
      assertEquals(info["postcopy-faults"]?.split(":")[0], wantedFaults);
      await source.said.wait((said) => said.type === "SHUT" && said.status === 0, { what: "SHUT" });
      await postcopy.verify();
    });
  }
}
