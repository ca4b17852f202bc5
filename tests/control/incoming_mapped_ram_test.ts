import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  IncompatibleError,
  MigrationError,
  SettingError,
  StreamFormatError,
} from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { withFolder } from "../image/fixtures.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";

const MAPPED = settings({ "mapped-ram": true });

/** A pair whose source is in a file. */
async function written(folder: string): Promise<{ pair: Pair; path: string; bytes: Uint8Array }> {
  const pair = await Pair.create({ blocks: { ram: 40, other: 10 } });
  const path = `${folder}/file`;
  await pair.send(`file:${path}`, MAPPED).completed;
  return { pair, path, bytes: await Deno.readFile(path) };
}

Deno.test("A machine comes from a mapped-ram file, and what its RAM had before is gone", () =>
  withFolder(async (folder) => {
    const { pair, path, bytes } = await written(folder);
    await using _pair = pair;
    const uri = parseUri(`file:${path}`);
    pair.destination.ram.block("ram")!.view(0, 20 * 4096).fill(0xee);
    const incoming = pair.receive({ ...MAPPED, uri });
    assertEquals(await incoming.listening, uri);
    assertEquals((await incoming.completed).status, "completed");
    for (const name of ["ram", "other"]) {
      assertEquals(contentOf(pair.destination, name), contentOf(pair.source, name));
    }
    assert(pair.destination.running);
    assertEquals(await Deno.readFile(path), bytes);
  }));

/** Whether nothing was written to it. */
function isAsItWas(machine: Machine): boolean {
  return ["ram", "other"].every((name) => contentOf(machine, name).every((byte) => byte === 0));
}

Deno.test("Headers that name another place, version or page size are refused before a page is read", () =>
  withFolder(async (folder) => {
    const { pair, path, bytes } = await written(folder);
    await using _pair = pair;
    // Behind the second block's name and length, which follow the first block's pages.
    const first = bytes.subarray(0, 300).toHex().lastIndexOf("03" + "72616d") / 2 + 12;
    const view = new DataView(bytes.buffer);
    assertEquals(view.getUint32(first), 1);
    const second = Number(view.getBigUint64(first + 20)) + 40 * 4096 + 1 + "other".length + 8;
    assertEquals(view.getUint32(second), 1);
    for (const header of [first, second]) {
      const wrong: readonly (readonly [number, bigint, string])[] = [
        [4, 8192n, "has pages of 8192 bytes in the file"],
        [12, 0n, "has its bitmap at 0"],
        [12, BigInt(2 ** 20), header === first ? "has its pages at" : "has its bitmap at"],
        [20, 0n, "has its pages at 0"],
        [20, BigInt(2 ** 40), "The file ends at"],
        [20, BigInt(2 ** 21 + 512), "no multiple of 4096"],
      ];
      for (const [field, value, why] of wrong) {
        const spoiled = bytes.slice();
        new DataView(spoiled.buffer).setBigUint64(header + field, value);
        await Deno.writeFile(path, spoiled);
        await using destination = await Machine.create({
          name: "pair",
          ram: { ram: 40 * 4096, other: 10 * 4096 },
        });
        const incoming = new IncomingMigration(new MachineTarget(destination), {
          ...MAPPED,
          uri: parseUri(`file:${path}`),
        });
        await assertRejects(() => incoming.completed, MigrationError, why);
        assert(isAsItWas(destination), why);
        assertEquals(incoming.status, "failed");
      }
    }
  }));

Deno.test("A file that is shorter than its pages, or was not finished, is refused", () =>
  withFolder(async (folder) => {
    const { pair, path, bytes } = await written(folder);
    await using _pair = pair;
    const receive = () => pair.receive({ ...MAPPED, uri: parseUri(`file:${path}`) }).completed;
    await Deno.writeFile(path, bytes.subarray(0, 2 ** 20 + 5000));
    await assertRejects(receive, ConnectionLostError, 'and the pages of RAM block "ram" at');
    // The END of RAM, behind which devices follow.
    const tail = bytes.subarray(-3000).toHex();
    const end = bytes.length - 3000 + tail.lastIndexOf("0000000000000010" + "7e") / 2 - 5;
    await Deno.writeFile(path, bytes.subarray(0, end + 18));
    await assertRejects(receive, ConnectionLostError);
    assertEquals(pair.destination.running, false);
    const spoiled = bytes.slice();
    assertEquals(spoiled[end], 3);
    spoiled[end] = 2; // as if the source had not come that far
    await Deno.writeFile(path, spoiled);
    await assertRejects(receive, StreamFormatError, "ended before all of its RAM had come");
    assertEquals(pair.destination.running, false);
  }));

Deno.test("Both sides must have mapped-ram on, and the destination a file", () =>
  withFolder(async (folder) => {
    const { pair, path } = await written(folder);
    await using _pair = pair;
    const mapped = parseUri(`file:${path}`);
    await assertRejects(
      () => pair.receive({ uri: mapped }).completed,
      IncompatibleError,
      "mapped-ram is on at the source and off here",
    );
    await assertRejects(
      () => pair.receive({ ...MAPPED, uri: parseUri("exec:cat /dev/null") }).completed,
      SettingError,
      "seekable transport",
    );
    await pair.send(`file:${folder}/plain`).completed;
    await assertRejects(
      () => pair.receive({ ...MAPPED, uri: parseUri(`file:${folder}/plain`) }).completed,
      IncompatibleError,
      "mapped-ram is off at the source and on here",
    );
  }));
