import { assert, assertEquals, assertRejects } from "@std/assert";
import { pageFile, pageThreadNames } from "../../src/control/mapped_ram.ts";
import type { DirtyLogKind } from "../../src/dirty/dirty_log.ts";
import { markWritten } from "../../src/dirty/barrier_log.ts";
import { CancelledError, SettingError } from "../../src/errors.ts";
import { loadImage } from "../../src/image/load_image.ts";
import type { RamBlock } from "../../src/machine/ram_block.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { withFolder } from "../image/fixtures.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";

Deno.test("Pages are one thread's or, with multifd, as many threads' as it has channels", () => {
  assertEquals(pageThreadNames(settings({ "mapped-ram": true })), ["pages"]);
  const multifd = settings({ "mapped-ram": true, multifd: true }, { "multifd-channels": 3 });
  assertEquals(pageThreadNames(multifd), ["multifd 0", "multifd 1", "multifd 2"]);
});

Deno.test("direct-io has an effect with multifd only", () =>
  withFolder((folder) => {
    const file = fileSpec(`${folder}/file`, 0, "write");
    const direct = (multifd: boolean, on: boolean) =>
      pageFile(file, settings({ "mapped-ram": true, multifd }, { "direct-io": on })).direct;
    assertEquals(
      [direct(true, true), direct(true, false), direct(false, true)],
      [true, false, false],
    );
    return Promise.resolve();
  }));

/** Writes as a guest does, and marks it for the log that wants that. */
function write(block: RamBlock, page: number, byte: number): void {
  block.view(page * 4096, 4096).fill(byte);
  markWritten(block, page * 4096, 4096);
}

const LOGS: readonly DirtyLogKind[] = ["kernel", "barrier", "hash"];

for (const log of LOGS) {
  for (const multifd of [false, true]) {
    const how = `${log} log, ${multifd ? "with" : "without"} multifd`;
    Deno.test(`What a guest writes meanwhile is in the file: ${how}`, () =>
      withFolder(async (folder) => {
        const set = settings({ "mapped-ram": true, multifd }, { "multifd-channels": 3 });
        await using pair = await Pair.create({ blocks: { ram: 300, other: 70 } });
        const uri = `file:${folder}/file,offset=1000`;
        const [ram, other] = pair.source.ram.blocks as [RamBlock, RamBlock];
        const outgoing = pair.send(uri, {
          ...set,
          onEvent: (event) => {
            // The first round has ended: all of this is in its place, and changes.
            if (event.event !== "MIGRATION_PASS" || event.data.pass !== 2) return;
            write(ram, 5, 0x55);
            write(ram, 299, 0x66);
            write(ram, 8, 0); // was none of zeros
            write(other, 3, 0x77); // was zeros
          },
        }, log);
        const sent = await outgoing.completed;
        assertEquals(sent.ram?.remaining, 0);
        assert(sent.ram!.normal >= 278 + 3 && sent.ram!.duplicate >= 92 + 1);
        assertEquals(sent["multifd-channels"]?.length, multifd ? 3 : undefined);
        const incoming = pair.receive({ ...set, uri: parseUri(uri) });
        const got = await incoming.completed;
        assertEquals(
          got["multifd-channels"]?.map(({ name }) => name),
          multifd ? ["multifd 0", "multifd 1", "multifd 2"] : undefined,
        );
        for (const name of ["ram", "other"]) {
          assertEquals(contentOf(pair.destination, name), contentOf(pair.source, name));
        }
        assertEquals([5, 8].map((page) => contentOf(pair.destination, "ram")[page * 4096]), [
          0x55,
          0,
        ]);
        assertEquals(incoming.received, 4096 * (278 - 1 + 2));
        assertEquals([pair.source.runState, pair.destination.running], ["postmigrate", true]);
      }));
  }
}

Deno.test("A migration to a mapped-ram file that is cancelled leaves no file that anybody loads", () =>
  withFolder(async (folder) => {
    await using pair = await Pair.create({ blocks: { ram: 300 } });
    const set = settings({ "mapped-ram": true }, { "max-bandwidth": 100_000 });
    const outgoing = pair.send(`file:${folder}/file`, {
      ...set,
      onEvent: (event) => {
        if (event.event !== "MIGRATION" || event.data.status !== "active") return;
        setTimeout(() => outgoing.cancel());
      },
    });
    await assertRejects(() => outgoing.completed, CancelledError);
    assert(pair.source.running);
    await assertRejects(() => loadImage(`${folder}/file`), Error);
  }));

Deno.test("Where there is no place for the file, the machine runs on", () =>
  withFolder(async (folder) => {
    await using pair = await Pair.create();
    const set = settings({ "mapped-ram": true });
    await assertRejects(
      () => pair.send(`file:${folder}/none/file`, set).completed,
      Error,
      "no such file",
    );
    await assertRejects(
      () => pair.send("tcp:127.0.0.1:1", set).completed,
      SettingError,
      "seekable transport",
    );
    assert(pair.source.running);
  }));
