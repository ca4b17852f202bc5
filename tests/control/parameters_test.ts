import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  changeParameters,
  defaultParameters,
  isParameterName,
  parseParameter,
} from "../../src/control/parameters.ts";
import { SettingError } from "../../src/errors.ts";

const defaults = defaultParameters();

Deno.test("defaultParameters() are QEMU's, but for the bandwidth, which has no limit", () => {
  assertEquals(defaults["max-bandwidth"], 0);
  assertEquals(defaults["downtime-limit"], 300);
  assertEquals(defaults["multifd-channels"], 2);
  assertEquals(defaults["zero-page-detection"], "multifd");
  assertEquals(changeParameters(defaults, {}), defaults);
});

/** Names, then values that are taken, then values that are not. */
const RANGES: readonly (readonly [string, readonly unknown[], readonly unknown[]])[] = [
  ["announce-initial", [0, 100_000], [-1, 100_001, 1.5, "5", null]],
  ["announce-max", [0, 100_000], [100_001]],
  ["announce-rounds", [0, 1000], [1001]],
  ["announce-step", [1, 10_000], [0, 10_001]],
  ["throttle-trigger-threshold", [1, 100], [0, 101]],
  ["cpu-throttle-initial", [1, 99], [0, 100]],
  ["cpu-throttle-increment", [1, 99], [0, 100]],
  ["cpu-throttle-tailslow", [true, false], [1, "on"]],
  ["tls-creds", ["tls0", "", null], [5]],
  ["max-bandwidth", [0, 1, 10 ** 12], [-1, Infinity, NaN, "1G"]],
  ["avail-switchover-bandwidth", [0, 10 ** 9], [-1]],
  ["downtime-limit", [0, 2_000_000], [2_000_001, -1]],
  ["multifd-channels", [1, 255], [0, 256]],
  ["multifd-compression", ["none", "zlib", "zstd"], ["qatzip", "qpl", "uadk", "lz4", 1]],
  ["multifd-zlib-level", [0, 9], [-1, 10]],
  ["multifd-zstd-level", [0, 20], [21]],
  ["xbzrle-cache-size", [4096, 2 ** 40], [4095, 4097, 0, 5000]],
  ["max-cpu-throttle", [20, 99], [19, 100]],
  ["x-vcpu-dirty-limit-period", [1, 1000], [0, 1001]],
  ["vcpu-dirty-limit", [1, 10 ** 6], [0]],
  ["mode", ["normal"], ["cpr-reboot", "cpr-transfer", "fast"]],
  ["zero-page-detection", ["none", "legacy", "multifd"], ["on", true]],
  ["direct-io", [true, false], ["yes"]],
];

for (const [name, taken, refused] of RANGES) {
  Deno.test(`changeParameters() knows what ${name} can be`, () => {
    assert(isParameterName(name));
    for (const value of taken) {
      const changed = changeParameters(defaults, { [name]: value });
      assertEquals(changed[name], value === null ? "" : value);
    }
    for (const value of refused) {
      const error = assertThrows(() => changeParameters(defaults, { [name]: value }), SettingError);
      assert(error.message.includes(`'${name}'`), error.message);
    }
  });
}

Deno.test("changeParameters() changes all or none, and leaves what it was given", () => {
  assertThrows(
    () => changeParameters(defaults, { "downtime-limit": 5, "multifd-channels": 0 }),
    SettingError,
  );
  assertEquals(defaults, defaultParameters());
});

Deno.test("changeParameters() refuses a highest throttle below the first one", () => {
  assertThrows(
    () => changeParameters(defaults, { "cpu-throttle-initial": 60, "max-cpu-throttle": 50 }),
    SettingError,
    "max-cpu-throttle",
  );
});

Deno.test("changeParameters() names what it does not know, and is not fooled by objects' members", () => {
  for (const name of ["speed", "toString", "__proto__", "constructor"]) {
    const changes = JSON.parse(`{"${name}": 1}`);
    assertThrows(() => changeParameters(defaults, changes), SettingError, name);
    assert(!isParameterName(name));
  }
});

const NODE = { "node-name": "disk0", alias: "d", bitmaps: [{ name: "b", alias: "b" }] };
const MAPPINGS: readonly (readonly [unknown, string])[] = [
  [{}, "not a list"],
  [[{ ...NODE, "node-name": "" }], "node name"],
  [[{ ...NODE, "node-name": "n".repeat(32) }], "longer than 31"],
  [[NODE, { ...NODE, alias: "e" }], "appears twice"],
  [[NODE, { ...NODE, "node-name": "disk1" }], "appears twice"],
  [[{ ...NODE, bitmaps: undefined }], "no list of bitmaps"],
  [[{ ...NODE, bitmaps: [...NODE.bitmaps, ...NODE.bitmaps] }], "appears twice"],
  [[{ ...NODE, bitmaps: [{ name: "b", alias: "a".repeat(256) }] }], "longer than 255"],
  [[null], "node name"],
];

Deno.test("changeParameters() takes a mapping of bitmaps that is one to one, and no other", () => {
  const name = "block-bitmap-mapping";
  assertEquals(changeParameters(defaults, { [name]: [NODE] })[name], [NODE]);
  assertEquals(changeParameters(defaults, { [name]: [] })[name], []);
  for (const [mapping, why] of MAPPINGS) {
    assertThrows(() => changeParameters(defaults, { [name]: mapping }), SettingError, why);
  }
});

/** What a user writes, and what it means. */
const TEXTS: readonly (readonly [string, string, unknown])[] = [
  ["max-bandwidth", "100M", 100 * 1024 ** 2],
  ["max-bandwidth", "1.5g", 1.5 * 1024 ** 3],
  ["max-bandwidth", "0", 0],
  ["max-bandwidth", "12345", 12345],
  ["max-bandwidth", "2k", 2048],
  ["downtime-limit", "50", 50],
  ["direct-io", "on", true],
  ["direct-io", "false", false],
  ["multifd-compression", "zstd", "zstd"],
  ["tls-creds", "tls0", "tls0"],
  ["block-bitmap-mapping", "[]", []],
];

Deno.test("parseParameter() reads what users write", () => {
  for (const [name, text, value] of TEXTS) {
    assertEquals(parseParameter(name, text), { [name]: value });
  }
});

Deno.test("parseParameter() refuses what is no value of the type", () => {
  const wrong: readonly (readonly [string, string])[] = [
    ["max-bandwidth", "fast"],
    ["max-bandwidth", "-1"],
    ["max-bandwidth", "1Q"],
    ["downtime-limit", "5s"],
    ["downtime-limit", ""],
    ["direct-io", "maybe"],
    ["block-bitmap-mapping", "[{"],
    ["speed", "1"],
  ];
  for (const [name, text] of wrong) {
    assertThrows(() => parseParameter(name, text), SettingError, `'${name}'`);
  }
});
