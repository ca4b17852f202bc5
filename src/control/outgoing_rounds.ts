/**
 * The rounds of an outgoing migration: while the guest runs, what it has written is sent again and again
 * (wire-format §10.4; QEMU `migration/migration.c`, `migration_iteration_run`).
 *
 * @module
 */
import type { Capabilities } from "./capabilities.ts";
import {
  expectedDowntimeMs,
  isStuck,
  mayFit,
  type RoundFacts,
  shouldSwitchOver,
} from "./convergence.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingRam } from "./outgoing_ram.ts";
import type { OutgoingStatistics } from "./outgoing_statistics.ts";
import type { OutgoingThrottle } from "./outgoing_throttle.ts";
import type { Parameters } from "./parameters.ts";
import { RateLimit } from "./rate_limit.ts";

/** Looks at the dirty log that no round asks for may take this share of the time: some logs read all RAM. */
const LOOKING_SHARE = 0.1;

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
  const tolerance = () => limit.tolerance(parameters()["max-bandwidth"]);
  const sent = () => statistics.transferred;
  let remainingBefore: number | undefined;
  let stuck = false;
  const facts = (): RoundFacts => ({
    remaining: saver.remaining,
    remainingBefore,
    stuck,
    bandwidth: parameters()["avail-switchover-bandwidth"] / 1000 || statistics.bandwidth,
    downtimeLimitMs: parameters()["downtime-limit"],
  });
  let looked = performance.now();
  let lookTook = 0;
  /** @returns Whether to switch over now. */
  const look = async (): Promise<boolean> => {
    const start = performance.now();
    await saver.drained(check);
    statistics.measure(parameters()["max-bandwidth"], true);
    await ram.sync(false);
    looked = performance.now();
    lookTook = looked - start;
    const now = facts();
    const expected = expectedDowntimeMs(now);
    if (expected !== Infinity) statistics.expectedDowntime = expected;
    if (shouldSwitchOver(now) && await maySwitchOver(context)) return true;
    stuck = isStuck(now);
    remainingBefore = now.remaining;
    return false;
  };
  const affordable = () => performance.now() - looked >= lookTook / LOOKING_SHARE;
  while (!context.postcopyWanted() || !await maySwitchOver(context)) {
    const end = await saver.sendPart({ allowance, tolerance, sent, check });
    if (end === "round" || stuck && affordable() && mayFit(facts())) {
      if (await look()) return "precopy";
    }
    if (end === "limit") {
      await link.sleep(limit.untilNextSlice(performance.now()));
      // What was written meanwhile is not to be found only behind what is sent next.
      if (stuck && affordable() && await look()) return "precopy";
    }
    // Between two slices: a window with one burst more than slices would be twice the limit.
    statistics.measure(parameters()["max-bandwidth"]);
    if (throttle.wantsSync) await ram.sync(false);
  }
  return "postcopy";
}

/** With `switchover-ack` the destination must have agreed, unless there is no guest to stop. */
async function maySwitchOver({ capabilities, machine, link }: RoundsContext): Promise<boolean> {
  if (!capabilities["switchover-ack"] || !machine.running) return true;
  return await link.destination.acknowledgesSwitchover();
}
