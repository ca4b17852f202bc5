import { assert, assertEquals, assertRejects } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { OutgoingLink } from "../../src/control/outgoing_link.ts";
import { OutgoingStatistics } from "../../src/control/outgoing_statistics.ts";
import { ConnectionLostError, SettingError, TransportError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { withFolder } from "../image/fixtures.ts";
import { settings } from "./fixtures/pair.ts";
import { ScriptedDestination } from "./fixtures/scripted_destination.ts";

const POSTCOPY = { "postcopy-ram": true } as const;

/** A machine, and links for it. */
async function withLinks(
  run: (
    link: (uri: string, capabilities?: Readonly<Record<string, boolean>>) => OutgoingLink,
  ) => Promise<void>,
  name = "linked",
): Promise<void> {
  await using machine = await Machine.create({ name, ram: { ram: 8 * 4096 }, vcpus: [] });
  const source = new MachineSource(machine);
  await run((uri, capabilities = {}) =>
    new OutgoingLink({
      uri: parseUri(uri),
      machine: source,
      ...settings(capabilities),
      statistics: new OutgoingStatistics(machine.ram, 300),
      allSent: () => false,
    })
  );
}

Deno.test("OutgoingLink connects, starts its threads, and hears of the end", () =>
  withLinks(async (make) => {
    using destination = new ScriptedDestination();
    await using link = make(destination.uri, POSTCOPY);
    await link.connect();
    await link.start({ encoder: { detectZero: true }, recovering: false });
    assert(link.returnPath && link.requests);
    const connection = await destination.accept();
    link.stream.writer.bytes(Uint8Array.of(1, 2, 3, 4));
    await link.stream.flush(link.trouble.check);
    await connection.sees("01020304");
    await connection.say({ type: "PONG", value: 9 });
    await link.destination.pong(9);
    connection.close();
    await assertRejects(() => link.sleep(60_000), ConnectionLostError);
  }));

Deno.test("OutgoingLink without return path and postcopy has neither", () =>
  withLinks(async (make) => {
    using destination = new ScriptedDestination();
    await using link = make(destination.uri, { "return-path": false });
    await link.connect();
    await link.start({ encoder: { detectZero: true }, recovering: false });
    assertEquals([link.returnPath, link.requests], [undefined, undefined]);
    assertEquals(await link.openPreempt(), false);
  }));

Deno.test("OutgoingLink refuses an address that postcopy cannot use", () =>
  withLinks((make) =>
    withFolder(async (folder) => {
      await using file = make(`file:${folder}/file`, POSTCOPY);
      await assertRejects(() => file.connect(), SettingError, "two directions");
      await using preempt = make("fd:3", { ...POSTCOPY, "postcopy-preempt": true });
      await assertRejects(() => preempt.connect(), SettingError, "multi-channel URIs");
      await using nobody = make("tcp:127.0.0.1:1");
      await assertRejects(() => nobody.connect(), TransportError);
    })
  ));

for (const [name, early] of [["linked", false], ["pc-i440fx-7.2", true]] as const) {
  Deno.test(`OutgoingLink opens a preempt channel once, for a machine "${name}"`, () =>
    withLinks(async (make) => {
      using destination = new ScriptedDestination();
      await using link = make(destination.uri, { ...POSTCOPY, "postcopy-preempt": true });
      await link.connect();
      await link.start({ encoder: { detectZero: true }, recovering: false });
      assertEquals(link.hasEarlyPreempt, early);
      await destination.accept();
      assertEquals([await link.openPreempt(), await link.openPreempt()], [true, true]);
      const preempt = await destination.accept();
      await link.endPreempt();
      await link[Symbol.asyncDispose]();
      await preempt.ended();
      assertEquals(preempt.received.toHex(), early ? "0000000000000010" : "");
    }, name));
}
