/**
 * The commands that measure and limit how fast RAM is written (wire-format §11.3; QEMU
 * `migration/dirtyrate.c`, `system/dirtylimit.c`).
 *
 * @module
 */
import { choice, integer, optional, unsigned } from "./argument_types.ts";
import { type Command, command } from "./command.ts";
import { QmpError } from "./qmp_error.ts";
import type { DirtyRateMode } from "../control/dirty_rate.ts";
import type { DirtyLimiter, DirtyRateMeter } from "./target.ts";

const MODES: readonly DirtyRateMode[] = ["page-sampling", "dirty-ring", "dirty-bitmap"];
const UNITS = ["second", "millisecond"] as const;
const MILLISECONDS = { second: 1000, millisecond: 1 } as const;
/** In milliseconds. */
const CALC_TIME = { min: 50, max: 60_000 };
const SAMPLE_PAGES = { min: 128, max: 16_384, usual: 512 };

/** The commands that measure. */
export function dirtyRateCommands(meter: DirtyRateMeter): Record<string, Command> {
  return {
    "calc-dirty-rate": command(
      {
        "calc-time": integer,
        "calc-time-unit": optional(choice(UNITS)),
        "sample-pages": optional(integer),
        mode: optional(choice(MODES)),
      },
      (given) => {
        const { mode = "page-sampling", "sample-pages": samplePages } = given;
        const calcTime = given["calc-time"] * MILLISECONDS[given["calc-time-unit"] ?? "second"];
        if (calcTime < CALC_TIME.min || calcTime > CALC_TIME.max) {
          throw new QmpError(
            `Calculation time is out of range [${CALC_TIME.min}ms, ${CALC_TIME.max}ms]`,
          );
        }
        if (samplePages !== undefined) {
          if (mode !== "page-sampling") {
            throw new QmpError("sample-pages is used only in page-sampling mode");
          }
          if (samplePages < SAMPLE_PAGES.min || samplePages > SAMPLE_PAGES.max) {
            throw new QmpError(
              `sample-pages is out of range [${SAMPLE_PAGES.min}, ${SAMPLE_PAGES.max}]`,
            );
          }
        }
        meter.calculate({ calcTime, mode, samplePages: samplePages ?? SAMPLE_PAGES.usual });
        return {};
      },
    ),
    "query-dirty-rate": command(
      { "calc-time-unit": optional(choice(UNITS)) },
      ({ "calc-time-unit": unit = "second" }) => {
        const { status, startTime, calcTime, samplePages, mode, rate, vcpuRates } = meter.query();
        return {
          status,
          "start-time": startTime,
          "calc-time": Math.floor(calcTime / MILLISECONDS[unit]),
          "calc-time-unit": unit,
          "sample-pages": samplePages,
          mode,
          ...status === "measured" && { "dirty-rate": Math.round(rate ?? -1) },
          ...vcpuRates && {
            "vcpu-dirty-rate": vcpuRates.map((each, id) => ({
              id,
              "dirty-rate": Math.round(each),
            })),
          },
        };
      },
    ),
  };
}

/** The commands that limit. */
export function dirtyLimitCommands(limiter: DirtyLimiter): Record<string, Command> {
  return {
    "set-vcpu-dirty-limit": command(
      { "cpu-index": optional(integer), "dirty-rate": unsigned },
      ({ "cpu-index": vcpu, "dirty-rate": rate }) => {
        if (rate === 0) limiter.cancel(vcpu); // as in QEMU, no rate is no limit
        else limiter.set(rate, vcpu);
        return {};
      },
    ),
    "cancel-vcpu-dirty-limit": command(
      { "cpu-index": optional(integer) },
      ({ "cpu-index": vcpu }) => {
        limiter.cancel(vcpu);
        return {};
      },
    ),
    "query-vcpu-dirty-limit": command({}, () =>
      limiter.query().map(({ vcpu, limit, current }) => ({
        "cpu-index": vcpu,
        "limit-rate": Math.round(limit),
        "current-rate": Math.round(current),
      }))),
  };
}
