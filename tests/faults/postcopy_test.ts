/**
 * Postcopy from one Ferry to another, whose link is lost twice: every page is looked at in the end.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { withHostPages } from "../../src/control/host_pages.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { Machine } from "../../src/machine/machine.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { until } from "../machine/fixtures/until.ts";
import { KINDS } from "../postcopy/fixtures/missing.ts";
import { EventLog } from "../support/event_log.ts";
import { Tap } from "../support/tap.ts";

const PAGES = 8192;
const HUGE = 16 * 1024;
const CASES: readonly (readonly [Readonly<Record<string, boolean>>, number])[] = [
  ...[[{}, 4096], [{ "postcopy-preempt": true }, 4096], [{ multifd: true }, 4096]] as const,
  ...[[{}, HUGE], [{ "postcopy-preempt": true }, HUGE], [{ multifd: true }, HUGE]] as const,
];
const ANY_PORT = parseUri("tcp:127.0.0.1:0");

/** What one side says of itself. */
class Statuses extends EventLog<string> {
  readonly take = (event: MigrationEvent): void => {
    this.push(event.event === "MIGRATION" ? event.data.status : event.event);
  };

  async reached(status: string, times = 1): Promise<void> {
    const count = () => this.entries.filter((each) => each === status).length;
    await this.wait(() => count() >= times, { what: `${status} ${times} times` });
  }
}

for (const wantedFaults of KINDS) {
  for (const [capabilities, hostPageSize] of CASES) {
    const pages = hostPageSize === 4096 ? [] : ["the source has larger pages"];
    const how = [wantedFaults, ...Object.keys(capabilities), ...pages].join(", ");
    Deno.test(`Postcopy survives two losses of its link (${how})`, async () => {
      const make = () =>
        Machine.create({
          name: "m",
          ram: { ram: PAGES * 4096 },
          vcpus: ["stress,rate=100M,seed=7"],
        });
      await using from = await make();
      await using to = await make();
      await from.start();
      await until(() => from.counters.pages >= PAGES);
      const options = settings(
        { "postcopy-ram": true, ...capabilities },
        // Most of it is left when the guest moves, and some of it when the link is lost.
        { "max-bandwidth": 20e6, "max-postcopy-bandwidth": 1e6 },
      );
      const [there, here] = [new Statuses(), new Statuses()];
      const incoming = new IncomingMigration(new MachineTarget(to), {
        uri: ANY_PORT,
        ...options,
        wantedFaults,
        onEvent: there.take,
      });
      await using tap = new Tap({ to: formatUri(await incoming.listening), record: false });
      const source = new MachineSource(from);
      Object.assign(source, withHostPages(source, { ram: hostPageSize }));
      const outgoing = new OutgoingMigration(source, {
        uri: parseUri(tap.uri),
        ...options,
        onEvent: here.take,
      });
      await here.reached("active");
      outgoing.startPostcopy();
      await there.reached("RESUME");
      for (const [i, lose] of [() => tap.cut(), () => incoming.pause()].entries()) {
        const { pages } = to.counters;
        await until(() => to.counters.pages > pages + 200);
        lose();
        await Promise.all([here, there].map((side) => side.reached("postcopy-paused", i + 1)));
        outgoing.resume(await incoming.recover(ANY_PORT));
        await there.reached("postcopy-active", i + 2);
      }
      // The guest asks for all that is left.
      await Promise.all([outgoing.completed, incoming.completed]);
      await to.stop();
      assertEquals(await verifyRam(to), undefined);
    });
  }
}
