/**
 * When to stop the guest and send the rest: a pure function of what was measured (wire-format §10.4; QEMU
 * `migration/migration.c`, `migration_iteration_run`).
 *
 * QEMU switches over as soon as the rest fits into the downtime limit. Here the rounds go on beyond that
 * as long as each leaves far less than the one before, because they cost the guest nothing: the limit is
 * what is allowed, not what is aimed at. Rounds that have not brought the rest near the limit are stuck:
 * then the first chance is taken, and looked for before they are complete, as in QEMU.
 *
 * @module
 */

/** What is known at the end of a round, after the dirty log was synced. */
export interface RoundFacts {
  /** What is dirty now, in bytes. */
  readonly remaining: number;
  /** What was dirty at the end of the round before, in bytes; `undefined` in the first round. */
  readonly remainingBefore: number | undefined;
  /** Whether that was {@linkcode isStuck stuck}. */
  readonly stuck: boolean;
  /** Bytes of pages that pass in a millisecond; 0 while nothing was measured. */
  readonly bandwidth: number;
  /** The parameter `downtime-limit`, in milliseconds. */
  readonly downtimeLimitMs: number;
}

/** A rest that takes less than this is as good as none: stopping the guest takes about as long, in ms. */
const NEGLIGIBLE_MS = 2;
/** A further round must leave at most this share of what the one before left. */
const WORTHWHILE_SHARE = 0.5;

/** How many milliseconds the rest will take, as far as is known. */
export function expectedDowntimeMs(facts: RoundFacts): number {
  if (facts.remaining === 0) return 0;
  return facts.bandwidth > 0 ? facts.remaining / facts.bandwidth : Infinity;
}

/** Whether to stop the guest now. */
export function shouldSwitchOver(facts: RoundFacts): boolean {
  const downtime = expectedDowntimeMs(facts);
  if (downtime <= NEGLIGIBLE_MS) return true;
  if (downtime > facts.downtimeLimitMs) return false;
  return facts.stuck || shrinksLittle(facts);
}

/** Whether what is dirty does not fit, and is hardly less than before. */
export function isStuck(facts: RoundFacts): boolean {
  return !mayFit(facts) && shrinksLittle(facts);
}

/** Whether what is known to be dirty would fit, if nothing was written since. */
export function mayFit(facts: RoundFacts): boolean {
  return expectedDowntimeMs(facts) <= facts.downtimeLimitMs;
}

function shrinksLittle({ remaining, remainingBefore }: RoundFacts): boolean {
  return remainingBefore !== undefined && remaining > remainingBefore * WORTHWHILE_SHARE;
}
