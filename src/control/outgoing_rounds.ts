/**
 * The rounds of an outgoing migration: while the guest runs, what it has written is sent again and again
 * (wire-format §10.4; QEMU `migration/migration.c`, `migration_iteration_run`).
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import { expectedDowntimeMs, type RoundFacts, shouldSwitchOver } from "./convergence.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingRam } from "./outgoing_ram.ts";
import type { OutgoingStatistics } from "./outgoing_statistics.ts";
import type { OutgoingThrottle } from "./outgoing_throttle.ts";
import type { Parameters } from "./parameters.ts";
import { RateLimit } from "./rate_limit.ts";

/** The migration around them. */
export interface RoundsContext {
  readonly machine: OutgoingMachine;
  readonly capabilities: Capabilities;
  readonly link: OutgoingLink;
  readonly ram: OutgoingRam;
  readonly statistics: OutgoingStatistics;
  readonly throttle: OutgoingThrottle;
  /** The parameters now. */
  readonly parameters: () => Parameters;
  /** Whether the machine is to run at the destination as soon as can be. */
  readonly postcopyWanted: () => boolean;
}

/**
 * Sends round after round while the guest runs, until what is left fits the downtime, or it is to run there.
 * @returns Which of the two.
 * @throws {MigrationError} What has ended the migration.
 */
export async function sendRounds(context: RoundsContext): Promise<"precopy" | "postcopy"> {
  const { link, ram, statistics, throttle, parameters } = context;
  const { saver } = ram;
  const { check } = link.trouble;
  const limit = new RateLimit(performance.now());
  const allowance = () =>
    limit.allowance(parameters()["max-bandwidth"], performance.now(), statistics.transferred);
  let remainingBefore: number | undefined;
  while (!context.postcopyWanted() || !await maySwitchOver(context)) {
    const end = await saver.sendPart({ allowance, check });
    statistics.measure();
    if (end === "limit") await link.sleep(limit.untilNextSlice(performance.now()));
    if (throttle.wantsSync) await ram.sync(false);
    if (end !== "round") continue;
    await saver.drained(check);
    statistics.measure(true);
    await ram.sync(false);
    const facts: RoundFacts = {
      remaining: saver.remaining,
      remainingBefore,
      bandwidth: parameters()["avail-switchover-bandwidth"] / 1000 || statistics.bandwidth,
      downtimeLimitMs: parameters()["downtime-limit"],
    };
    statistics.expectedDowntime = expectedDowntimeMs(facts);
    if (shouldSwitchOver(facts) && await maySwitchOver(context)) return "precopy";
    remainingBefore = facts.remaining;
  }
  return "postcopy";
}

/** With `switchover-ack` the destination must have agreed, unless there is no guest to stop. */
async function maySwitchOver({ capabilities, machine, link }: RoundsContext): Promise<boolean> {
  if (!capabilities["switchover-ack"] || !machine.running) return true;
  return await link.destination.acknowledgesSwitchover();
}
