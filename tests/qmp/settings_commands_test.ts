import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CAPABILITY_NAMES } from "../../src/control/capabilities.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { defaultParameters } from "../../src/control/parameters.ts";
import type { JsonObject } from "../../src/qmp/json.ts";
import { settingsCommands } from "../../src/qmp/settings_commands.ts";

function served() {
  const control = new MigrationControl({});
  const commands = settingsCommands(control);
  return { control, run: (name: string, args: JsonObject = {}) => commands[name]!.run(args) };
}

Deno.test("Capabilities are set and shown, all of them, in QEMU's order", async () => {
  const { run } = served();
  const capability = (name: string, state: unknown) => ({ capability: name, state });
  assertEquals(
    await run("migrate-set-capabilities", {
      capabilities: [
        { capability: "multifd", state: true },
        { capability: "return-path", state: false },
      ],
    }),
    {},
  );
  assertEquals(
    run("query-migrate-capabilities"),
    CAPABILITY_NAMES.map((name) => capability(name, name === "multifd")),
  );
});

const BAD_CAPABILITIES: readonly (readonly [JsonObject, string])[] = [
  [{}, "Parameter 'capabilities' is missing"],
  [
    { capabilities: [{ capability: "nonsense", state: true }] },
    "Parameter 'capabilities[0].capability' does not accept value 'nonsense'",
  ],
  [{ capabilities: [{ capability: "multifd" }] }, "Parameter 'capabilities[0].state' is missing"],
  [
    {
      capabilities: [{ capability: "multifd", state: true }, {
        capability: "xbzrle",
        state: true,
      }],
    },
    "Multifd is not compatible with xbzrle",
  ],
];

Deno.test("Capabilities that are none, or not together, change nothing", async () => {
  const { control, run } = served();
  const before = control.capabilities;
  for (const [args, why] of BAD_CAPABILITIES) {
    await assertRejects(async () => await run("migrate-set-capabilities", args), Error, why);
    assertEquals(control.capabilities, before);
  }
});

Deno.test("Parameters are set and shown, all that are set", () => {
  const { run } = served();
  assertEquals(run("migrate-set-parameters"), {});
  assertEquals(
    run("migrate-set-parameters", {
      "max-bandwidth": 5,
      "tls-hostname": null,
      "cpu-throttle-tailslow": true,
      "block-bitmap-mapping": [],
      "multifd-compression": "zstd",
    }),
    {},
  );
  assertEquals(run("query-migrate-parameters"), {
    ...defaultParameters(),
    "max-bandwidth": 5,
    "cpu-throttle-tailslow": true,
    "block-bitmap-mapping": [],
    "multifd-compression": "zstd",
  });
});

Deno.test("Sizes of 64 bits are what a client has set, to the last bit", () => {
  const { control, run } = served();
  // The first is what libvirt sets for "no limit".
  for (const size of [9223372036853727232n, 2n ** 64n - 1n, 2n ** 53n + 1n]) {
    run("migrate-set-parameters", { "max-bandwidth": size });
    assertEquals((run("query-migrate-parameters") as JsonObject)["max-bandwidth"], size);
    assert(Math.abs(control.parameters["max-bandwidth"] - Number(size)) <= 2 ** 11);
  }
  run("migrate-set-parameters", { "max-bandwidth": 7 });
  assertEquals((run("query-migrate-parameters") as JsonObject)["max-bandwidth"], 7);
  run("migrate-set-parameters", { "vcpu-dirty-limit": 2n ** 60n });
  control.setParameters({ "vcpu-dirty-limit": 2 });
  assertEquals((run("query-migrate-parameters") as JsonObject)["vcpu-dirty-limit"], 2);
});

const BAD_PARAMETERS: readonly (readonly [JsonObject, string])[] = [
  [{ nonsense: 1 }, "Parameter 'nonsense' is unexpected"],
  [{ "multifd-channels": "5" }, "Parameter 'multifd-channels' expects uint64"],
  [{ "multifd-channels": 0 }, "Parameter 'multifd-channels' expects an integer in the range of 1"],
  [{ "multifd-channels": 300 }, "Parameter 'multifd-channels' expects an integer in the range of"],
  [{ "multifd-channels": 2n ** 60n }, "Parameter 'multifd-channels' expects an integer in the"],
  [{ "max-bandwidth": -1 }, "Parameter 'max-bandwidth' expects uint64"],
  [{ "max-bandwidth": -(2n ** 60n) }, "Parameter 'max-bandwidth' expects uint64"],
  [{ "max-bandwidth": 1e20 }, "Parameter 'max-bandwidth' expects uint64"],
  [{ "max-bandwidth": 5, "direct-io": "x" }, "parameter type for 'direct-io', expected: boolean"],
  [{ "tls-creds": 5 }, "Invalid parameter type for 'tls-creds', expected: StrOrNull"],
  [{ mode: "nonsense" }, "Parameter 'mode' does not accept value 'nonsense'"],
  [{ mode: null }, "Invalid parameter type for 'mode', expected: string"],
  [{ "block-bitmap-mapping": 5 }, "parameter type for 'block-bitmap-mapping', expected: array"],
];

Deno.test("Parameters that are none, or no values of theirs, change nothing", () => {
  const { control, run } = served();
  for (const [args, why] of BAD_PARAMETERS) {
    assertThrows(() => run("migrate-set-parameters", args), Error, why);
    assertEquals(control.parameters, defaultParameters());
  }
});
