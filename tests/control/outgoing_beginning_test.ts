import { assertEquals } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { PING_OPENED, writeBeginning } from "../../src/control/outgoing_beginning.ts";
import { OutgoingLink } from "../../src/control/outgoing_link.ts";
import { OutgoingStatistics } from "../../src/control/outgoing_statistics.ts";
import { Machine } from "../../src/machine/machine.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "./fixtures/pair.ts";
import { ScriptedDestination } from "./fixtures/scripted_destination.ts";

const HEADER = "5145564d 00000003";
const OPEN_RETURN_PATH = "0800010000";
const PING = `0800020004 ${PING_OPENED.toString(16).padStart(8, "0")}`;
const ADVISE = "0800030010 0000000000001000 0000000000001000";

for (
  const [capabilities, commands] of [
    [{ "return-path": false }, ""],
    [{}, OPEN_RETURN_PATH + PING],
    [{ "postcopy-ram": true }, OPEN_RETURN_PATH + PING + ADVISE],
  ] as const
) {
  Deno.test(`A stream begins with what its capabilities need: ${JSON.stringify(capabilities)}`, async () => {
    await using machine = await Machine.create({ name: "beginner", ram: { ram: 4096 } });
    using destination = new ScriptedDestination();
    const source = new MachineSource(machine);
    const set = settings(capabilities);
    await using link = new OutgoingLink({
      ...{ uri: parseUri(destination.uri), machine: source, ...set },
      statistics: new OutgoingStatistics(machine.ram),
      allSent: () => false,
    });
    await link.connect();
    await link.start({ encoder: { detectZero: true }, recovering: false });
    writeBeginning(link, source, set.capabilities);
    // A mark of the test's own: nothing else comes before it.
    link.stream.writer.bytes(new TextEncoder().encode("mark"));
    await link.stream.flush(link.trouble.check);
    const connection = await destination.accept();
    const mark = new TextEncoder().encode("mark").toHex();
    await connection.sees(mark);
    const hex = connection.received.toHex();
    const name = new TextEncoder().encode("beginner").toHex();
    assertEquals(hex.startsWith(HEADER.replaceAll(" ", "")), true, hex);
    assertEquals(hex.includes(name), true, hex);
    const rest = hex.slice(hex.lastIndexOf(name) + name.length);
    assertEquals(rest.endsWith(commands.replaceAll(" ", "") + mark), true, hex);
    assertEquals(rest.includes(OPEN_RETURN_PATH), commands !== "", hex);
    assertEquals(rest.includes(ADVISE.replaceAll(" ", "")), commands.includes(ADVISE), hex);
  });
}
