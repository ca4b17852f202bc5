import { assertEquals, assertRejects } from "@std/assert";
import type { MigrationError } from "../../src/errors.ts";
import { CancelledError, TransportError } from "../../src/errors.ts";
import type { GuestRam } from "../../src/machine/guest_ram.ts";
import { MappedWriter } from "../../src/mapped_ram/mapped_writer.ts";
import { OutgoingStream } from "../../src/ram/outgoing_stream.ts";
import { RamSaver } from "../../src/ram/save.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import type { FileSpec } from "../../src/transport/channel.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { withFolder } from "../image/fixtures.ts";
import { patternedRam, SPECS } from "../ram/fixtures/patterned_ram.ts";

const MIB = 1024 ** 2;
const NO_TROUBLE = () => {};

/** A stream and the threads that write pages beside it. */
async function setUp(ram: GuestRam, file: FileSpec, threads = 2) {
  const progress = new Progress();
  const failures: MigrationError[] = [];
  const stack = new AsyncDisposableStack();
  const writer = stack.use(
    new MappedWriter({
      ...{ file, ram, progress, detectZero: true },
      names: Array.from({ length: threads }, (_, i) => `pages ${i}`),
      onFailure: (error) => failures.push(error),
    }),
  );
  const stream = stack.use(
    await OutgoingStream.start({ channel: file, ram, progress, encoder: { detectZero: true } }),
  );
  const saver = new RamSaver(ram, stream, writer, 2);
  return { writer, stream, saver, failures, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

for (const [offset, threads] of [[0, 1], [5000, 4]] as const) {
  Deno.test(`MappedWriter writes lists, bitmaps and pages with ${threads} threads from ${offset} on`, () =>
    withFolder(async (folder) => {
      const ram = patternedRam(false);
      const path = `${folder}/file`;
      await using all = await setUp(ram, fileSpec(path, offset, "write"), threads);
      const { stream, saver, writer } = all;
      await saver.sendStart(SPECS, NO_TROUBLE);
      await saver.sendPart({ allowance: () => Infinity, check: NO_TROUBLE });
      // A page that is written again, and one that is zeros now.
      const block = ram.blocks[1]!;
      block.view(7 * 4096, 4096).fill(0x77);
      block.view(8 * 4096, 4096).fill(0);
      block.dirty.fill(7, 2, true);
      await saver.drained(NO_TROUBLE);
      await saver.sendEnd(NO_TROUBLE);
      await writer.end(NO_TROUBLE);
      await writer.ended();
      await stream.end(NO_TROUBLE);
      const bytes = await Deno.readFile(path);
      const view = new DataView(bytes.buffer);
      // The section's header, with the id 2 and the name "ram", takes 17 bytes.
      assertEquals(view.getUint32(offset + 1), 2);
      assertEquals(view.getBigUint64(offset + 17), BigInt(ram.length + 4));
      let at = offset + 25;
      for (const { name, index, pageCount, length } of ram.blocks) {
        const nameEnd = at + 1 + name.length;
        assertEquals(new TextDecoder().decode(bytes.subarray(at + 1, nameEnd)), name);
        assertEquals(Number(view.getBigUint64(nameEnd)), length);
        const header = nameEnd + 8;
        assertEquals(view.getUint32(header), 1);
        const bitmap = Number(view.getBigUint64(header + 12));
        assertEquals(bitmap, header + 28);
        const pages = Number(view.getBigUint64(header + 20));
        assertEquals(pages % MIB, 0);
        for (let page = 0; page < pageCount; page++) {
          const content = new Uint8Array(ram.blocks[index]!.view(page * 4096, 4096));
          const isThere = (bytes[bitmap + (page >> 3)]! >> (page & 7) & 1) === 1;
          assertEquals(isThere, content.some((byte) => byte !== 0), `${name} ${page}`);
          const place = bytes.slice(pages + page * 4096, pages + (page + 1) * 4096);
          if (isThere) assertEquals(place, content);
        }
        at = pages + length;
      }
      const end = "0000000000000010" + "7e00000002";
      assertEquals(bytes.subarray(at).toHex(), `${end}0200000002${end}0300000002${end}`);
      assertEquals(all.failures, []);
    }));
}

Deno.test("MappedWriter tells of a thread that cannot write, and who waits gives up", () =>
  withFolder(async (folder) => {
    const ram = patternedRam(false);
    const path = `${folder}/file`;
    const file = fileSpec(path, 0, "write");
    // Another file in its place: no thread opens that.
    await Deno.rename(path, `${folder}/other`);
    await Deno.writeTextFile(path, "other");
    const told = Promise.withResolvers<MigrationError>();
    await using writer = new MappedWriter({
      ...{ file, ram, progress: new Progress(), detectZero: true, names: ["pages"] },
      onFailure: told.resolve,
    });
    const error = await told.promise;
    assertEquals([error instanceof TransportError, error.place.channel], [true, "pages"]);
    await assertRejects(
      () =>
        writer.ringWithRoom(() => {
          throw new CancelledError("enough");
        }),
      CancelledError,
    );
    assertEquals(await Deno.readTextFile(path), "other");
  }));
