import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  requireSameCapabilities,
  requireSameUuid,
  requireSendable,
  sentConfiguration,
} from "../../src/control/agreement.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { IncompatibleError, SettingError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { parseUuid } from "../../src/machine/uuid.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "./fixtures/pair.ts";

const ONE = "6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab";
const OTHER = "7d2c1b3a-5f4e-4d6c-8b7a-0123456789ab";

Deno.test("sentConfiguration() has the UUID with validate-uuid and a machine that has one", () => {
  const configuration = { machine: "m" };
  const uuid = parseUuid(ONE);
  const on = settings({ "validate-uuid": true }).capabilities;
  const off = settings().capabilities;
  assertEquals(sentConfiguration({ configuration, uuid }, on), { machine: "m", uuid });
  assertEquals(sentConfiguration({ configuration, uuid }, off), configuration);
  assertEquals(sentConfiguration({ configuration }, on), configuration);
});

Deno.test("sentConfiguration() names mapped-ram if that is how the pages are sent, wherever they come from", () => {
  const plain = { machine: "m" };
  const named = { machine: "m", capabilities: ["mapped-ram"] };
  const on = settings({ "mapped-ram": true }).capabilities;
  const off = settings().capabilities;
  for (const configuration of [plain, named]) {
    assertEquals(sentConfiguration({ configuration }, on), named);
    assertEquals(sentConfiguration({ configuration }, off), plain);
  }
});

Deno.test("requireSameCapabilities() compares what changes the stream, and nothing else", () => {
  const { capabilities } = settings();
  const check = (names: string[] | undefined, own = capabilities) => () =>
    requireSameCapabilities({ machine: "m", ...names && { capabilities: names } }, own);
  check(undefined)();
  check([])();
  check(["xbzrle", "postcopy-ram"])(); // QEMU passes over those as well
  assertThrows(check(["x-ignore-shared"]), IncompatibleError, "on at the source and off here");
  assertThrows(check(["mapped-ram"]), IncompatibleError, "mapped-ram");
  assertThrows(check(["turbo"]), IncompatibleError, '"turbo", which is unknown');
  const mapped = { ...capabilities, "mapped-ram": true };
  check(["mapped-ram"], mapped)();
  assertThrows(check(undefined, mapped), IncompatibleError, "off at the source and on here");
});

Deno.test("requireSendable() refuses what would not have its effect on what is sent", () => {
  const all = { configuration: { machine: "m" } };
  const some = { configuration: { machine: "m", capabilities: ["x-ignore-shared"] } };
  const ignoring = settings({ "x-ignore-shared": true }).capabilities;
  const postcopy = settings({ "postcopy-ram": true }).capabilities;
  requireSendable(all, settings().capabilities);
  requireSendable(all, postcopy);
  requireSendable(some, settings().capabilities);
  requireSendable(some, ignoring);
  const snapshot = { ...settings().capabilities, "background-snapshot": true };
  assertThrows(() => requireSendable(all, snapshot), SettingError, "background-snapshot");
  assertThrows(
    () => requireSendable(all, ignoring),
    SettingError,
    "no RAM of this machine is a file",
  );
  for (const excluded of [postcopy, settings({ "mapped-ram": true }).capabilities]) {
    assertThrows(
      () => requireSendable(some, excluded),
      SettingError,
      "not compatible with ignore-shared",
    );
  }
});

Deno.test("A machine that runs here does not take a stream that leaves RAM out", async () => {
  await using machine = await Machine.create({ name: "m", ram: { ram: 65536 } });
  const target = new MachineTarget(machine);
  target.configuration({ machine: "m" });
  assertThrows(
    () => target.configuration({ machine: "m", capabilities: ["x-ignore-shared"] }),
    IncompatibleError,
    "leaves out RAM",
  );
});

Deno.test("requireSameUuid() compares UUIDs where both sides have one", () => {
  const [uuid, other] = [parseUuid(ONE), parseUuid(OTHER)];
  requireSameUuid({ machine: "m", uuid }, parseUuid(ONE));
  requireSameUuid({ machine: "m", uuid }, undefined);
  requireSameUuid({ machine: "m" }, uuid);
  const error = assertThrows(
    () => requireSameUuid({ machine: "m", uuid }, other),
    IncompatibleError,
  );
  assert(error.message.includes(ONE) && error.message.includes(OTHER));
});

/** Moves a machine between sides with these UUIDs. */
async function move(there: string | undefined, here: string | undefined, capabilities = {}) {
  const make = (uuid: string | undefined) =>
    Machine.create({ name: "m", ram: { ram: 65536 }, ...uuid && { uuid } });
  await using source = await make(there);
  await using destination = await make(here);
  await source.start();
  const incoming = new IncomingMigration(new MachineTarget(destination), {
    uri: parseUri("tcp:127.0.0.1:0"),
    ...settings(capabilities),
  });
  const outgoing = new OutgoingMigration(new MachineSource(source), {
    uri: await incoming.listening,
    ...settings(capabilities),
  });
  const ends = await Promise.allSettled([incoming.completed, outgoing.completed]);
  assertEquals(source.running, ends[0].status === "rejected");
  if (ends[0].status === "rejected") throw ends[0].reason;
}

Deno.test("validate-uuid lets a machine through to its own kind, and where a side has no UUID", async () => {
  const validated = { "validate-uuid": true };
  await move(ONE, ONE, validated);
  await move(ONE, undefined, validated);
  await move(undefined, ONE, validated);
  await move(ONE, OTHER); // nobody asked
});

Deno.test("validate-uuid refuses a machine at another one's place, and the source runs on", async () => {
  await assertRejects(() => move(ONE, OTHER, { "validate-uuid": true }), IncompatibleError, OTHER);
});

Deno.test("The channels of multifd say the machine's UUID", async () => {
  await move(ONE, ONE, { multifd: true });
  await assertRejects(() => move(ONE, OTHER, { multifd: true }), IncompatibleError, "multifd");
});
