import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  CAPABILITY_NAMES,
  type CapabilityName,
  changeCapabilities,
  defaultCapabilities,
  isCapabilityName,
} from "../../src/control/capabilities.ts";
import { SettingError } from "../../src/errors.ts";

const defaults = defaultCapabilities();

Deno.test("defaultCapabilities() has return-path alone", () => {
  assertEquals(CAPABILITY_NAMES.filter((name) => defaults[name]), ["return-path"]);
});

Deno.test("CAPABILITY_NAMES are QEMU 10.0's in its order", () => {
  assertEquals(CAPABILITY_NAMES.length, 22);
  assertEquals(CAPABILITY_NAMES[0], "xbzrle");
  assertEquals(CAPABILITY_NAMES.at(-1), "mapped-ram");
  assert(isCapabilityName("multifd"));
  assert(!isCapabilityName("Multifd"));
  assert(!isCapabilityName("toString"));
});

Deno.test("changeCapabilities() changes what it is told, and leaves what it was given", () => {
  const changed = changeCapabilities(defaults, { multifd: true, "return-path": false });
  assertEquals(CAPABILITY_NAMES.filter((name) => changed[name]), ["multifd"]);
  assertEquals(defaults, defaultCapabilities());
  assertEquals(changeCapabilities(changed, {}), changed);
});

/** What QEMU refuses, what of its message must be in ours. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["x-ignore-shared postcopy-ram", "Postcopy is not compatible with ignore-shared"],
  ["dirty-limit auto-converge", "dirty-limit conflicts with auto-converge"],
  ["multifd xbzrle", "Multifd is not compatible with xbzrle"],
  ["mapped-ram xbzrle", "Mapped-ram migration is incompatible with xbzrle"],
  ["mapped-ram postcopy-ram", "Mapped-ram migration is incompatible with postcopy"],
  ["postcopy-preempt", "Postcopy preempt requires postcopy-ram"],
  ["rdma-pin-all", "RDMA"],
  ["x-colo", "disk replication"],
  ["zero-copy-send multifd", "MSG_ZEROCOPY"],
];

for (const [names, why] of REFUSED) {
  Deno.test(`changeCapabilities() refuses ${names}`, () => {
    const on = Object.fromEntries(names.split(" ").map((name) => [name, true]));
    assertThrows(() => changeCapabilities(defaults, on), SettingError, why);
    // In two steps as in one.
    const [first = "", ...others] = names.split(" ");
    if (others.length === 0) return;
    assertThrows(
      () =>
        changeCapabilities(
          changeCapabilities(defaults, { [first]: true }),
          Object.fromEntries(others.map((name) => [name, true])),
        ),
      SettingError,
    );
  });
}

Deno.test("changeCapabilities() refuses switchover-ack without return-path, whichever is changed", () => {
  const changes = { "switchover-ack": true, "return-path": false };
  assertThrows(() => changeCapabilities(defaults, changes), SettingError, "return-path");
  const both = changeCapabilities(defaults, { "switchover-ack": true });
  assertThrows(() => changeCapabilities(both, { "return-path": false }), SettingError);
});

Deno.test("changeCapabilities() refuses background-snapshot with each that changes under it", () => {
  const alone = { "background-snapshot": true, "return-path": false };
  assert(changeCapabilities(defaults, alone)["background-snapshot"]);
  const others: readonly CapabilityName[] = ["multifd", "return-path", "xbzrle", "auto-converge"];
  for (const other of others) {
    assertThrows(
      () => changeCapabilities(defaults, { ...alone, [other]: true }),
      SettingError,
      `not compatible with ${other}`,
    );
  }
});

Deno.test("changeCapabilities() names what it does not know, and says what there is", () => {
  const error = assertThrows(() => changeCapabilities(defaults, { turbo: true }), SettingError);
  assert(error.message.includes("'turbo'"));
  assert(error.advice?.includes("multifd"));
});

Deno.test("changeCapabilities() lets everything be turned off", () => {
  for (const name of CAPABILITY_NAMES) {
    assertEquals(changeCapabilities(defaults, { [name]: false })[name], false);
  }
});
