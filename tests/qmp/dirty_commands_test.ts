import { assertEquals, assertThrows } from "@std/assert";
import { dirtyLimitCommands, dirtyRateCommands } from "../../src/qmp/dirty_commands.ts";
import type { JsonObject } from "../../src/qmp/json.ts";
import { QmpError } from "../../src/qmp/qmp_error.ts";
import type { DirtyRateOptions, DirtyRateResult } from "../../src/control/dirty_rate.ts";
import type { DirtyRateMeter } from "../../src/qmp/target.ts";

function meter(result: Partial<DirtyRateResult> = {}) {
  const asked: DirtyRateOptions[] = [];
  const known: DirtyRateResult = {
    status: "measured",
    startTime: 1000,
    calcTime: 1500,
    mode: "dirty-bitmap",
    samplePages: 512,
    ...result,
  };
  const hooks: DirtyRateMeter = {
    calculate: (options) => asked.push(options),
    query: () => known,
  };
  const commands = dirtyRateCommands(hooks);
  return { asked, run: (name: string, args: JsonObject = {}) => commands[name]!.run(args) };
}

Deno.test("calc-dirty-rate counts in seconds or milliseconds, and has QEMU's defaults", () => {
  const { asked, run } = meter();
  assertEquals(run("calc-dirty-rate", { "calc-time": 2 }), {});
  run("calc-dirty-rate", {
    "calc-time": 50,
    "calc-time-unit": "millisecond",
    "sample-pages": 128,
  });
  run("calc-dirty-rate", { "calc-time": 60, mode: "dirty-ring" });
  assertEquals(asked, [
    { calcTime: 2000, mode: "page-sampling", samplePages: 512 },
    { calcTime: 50, mode: "page-sampling", samplePages: 128 },
    { calcTime: 60_000, mode: "dirty-ring", samplePages: 512 },
  ]);
});

const REFUSED: readonly (readonly [JsonObject, string])[] = [
  [{}, "Parameter 'calc-time' is missing"],
  [{ "calc-time": 0 }, "Calculation time is out of range [50ms, 60000ms]"],
  [{ "calc-time": 61 }, "Calculation time is out of range [50ms, 60000ms]"],
  [{ "calc-time": 49, "calc-time-unit": "millisecond" }, "Calculation time is out of range"],
  [{ "calc-time": 1, mode: "guess" }, "Parameter 'mode' does not accept value 'guess'"],
  [{ "calc-time": 1, "sample-pages": 127 }, "sample-pages is out of range [128, 16384]"],
  [{ "calc-time": 1, "sample-pages": 16_385 }, "sample-pages is out of range [128, 16384]"],
  [
    { "calc-time": 1, "sample-pages": 512, mode: "dirty-ring" },
    "sample-pages is used only in page-sampling mode",
  ],
];

Deno.test("calc-dirty-rate refuses what QEMU refuses", () => {
  const { asked, run } = meter();
  for (const [args, why] of REFUSED) {
    assertThrows(() => run("calc-dirty-rate", args), QmpError, why);
  }
  assertEquals(asked, []);
});

Deno.test("query-dirty-rate has QEMU's shape, with a rate once there is one", () => {
  assertEquals(meter({ status: "measuring", rate: 5 }).run("query-dirty-rate"), {
    status: "measuring",
    "start-time": 1000,
    "calc-time": 1,
    "calc-time-unit": "second",
    "sample-pages": 512,
    mode: "dirty-bitmap",
  });
  const { run } = meter({ rate: 12.6, vcpuRates: [10.2, 2.4] });
  assertEquals(run("query-dirty-rate", { "calc-time-unit": "millisecond" }), {
    status: "measured",
    "start-time": 1000,
    "calc-time": 1500,
    "calc-time-unit": "millisecond",
    "sample-pages": 512,
    mode: "dirty-bitmap",
    "dirty-rate": 13,
    "vcpu-dirty-rate": [{ id: 0, "dirty-rate": 10 }, { id: 1, "dirty-rate": 2 }],
  });
});

Deno.test("Dirty limits are set, taken away and shown for one vCPU or all", () => {
  const calls: unknown[] = [];
  const commands = dirtyLimitCommands({
    set: (rate, vcpu) => calls.push(["set", rate, vcpu]),
    cancel: (vcpu) => calls.push(["cancel", vcpu]),
    query: () => [{ vcpu: 1, limit: 10, current: 8.6 }],
  });
  assertEquals(commands["set-vcpu-dirty-limit"]!.run({ "dirty-rate": 10 }), {});
  commands["set-vcpu-dirty-limit"]!.run({ "dirty-rate": 5, "cpu-index": 1 });
  commands["set-vcpu-dirty-limit"]!.run({ "dirty-rate": 0, "cpu-index": 2 });
  assertEquals(commands["cancel-vcpu-dirty-limit"]!.run({}), {});
  commands["cancel-vcpu-dirty-limit"]!.run({ "cpu-index": 3 });
  assertEquals(calls, [
    ["set", 10, undefined],
    ["set", 5, 1],
    ["cancel", 2],
    ["cancel", undefined],
    ["cancel", 3],
  ]);
  assertEquals(commands["query-vcpu-dirty-limit"]!.run({}), [
    { "cpu-index": 1, "limit-rate": 10, "current-rate": 9 },
  ]);
});
