/**
 * The dirty rate and the dirty limits of a machine that may not have arrived yet.
 *
 * @module
 */
import { NOTHING_MEASURED } from "../control/dirty_rate.ts";
import type { MachineDirtying } from "../control/machine_dirtying.ts";
import { StateError } from "../errors.ts";
import type { DirtyLimiter, DirtyRateMeter } from "../qmp/target.ts";

/**
 * What QMP drives: the machine's own as soon as there is one; before, nothing is measured or limited.
 * @param dirtying The machine's.
 */
export function lateDirtying(
  dirtying: () => MachineDirtying | undefined,
): { rate: DirtyRateMeter; limiter: DirtyLimiter } {
  const required = (): MachineDirtying => {
    const found = dirtying();
    if (!found) throw new StateError("The machine has not arrived yet");
    return found;
  };
  return {
    rate: {
      calculate: (options) => required().rate.calculate(options),
      query: () => dirtying()?.rate.query() ?? NOTHING_MEASURED,
    },
    limiter: {
      set: (rate, vcpu) => required().limiter.set(rate, vcpu),
      cancel: (vcpu) => dirtying()?.limiter.cancel(vcpu),
      query: () => dirtying()?.limiter.query() ?? [],
    },
  };
}
