import { assert, assertEquals } from "@std/assert";
import { HashLog } from "../../src/dirty/hash_log.ts";
import type { DigestTableLayout } from "../../src/dirty/digest_table.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { RecordEncoder } from "../../src/ram/record_encoder.ts";
import { RecordDecoder } from "../../src/ram/record_decoder.ts";
import { XbzrleControl } from "../../src/ram/xbzrle_control.ts";
import { SharedStream } from "../../src/threads/shared_stream.ts";
import "../support/load_libc.ts";
import { assertSameRam } from "./fixtures/patterned_ram.ts";
import { changeSome, numbers } from "./fixtures/xbzrle.ts";

const OUT = 4096;
const SPECS = [{ name: "low", length: 3 * 4096 }, { name: "heap", length: 29 * 4096 }];

/** A source with a replica that gets what it sends. */
class Sender {
  readonly control: XbzrleControl;
  readonly ram: GuestRam;
  readonly replica = GuestRam.create(SPECS, { packed: true });
  readonly encoder: RecordEncoder;
  readonly #stream = SharedStream.create();
  readonly #decoder = new RecordDecoder(this.replica, this.#stream);
  readonly #io = new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true });

  constructor(
    cachePages = 32,
    options: { detectZero?: boolean; digests?: DigestTableLayout; ram?: GuestRam } = {},
  ) {
    const { detectZero = true, digests, ram = GuestRam.create(SPECS) } = options;
    this.ram = ram;
    this.control = XbzrleControl.create(cachePages * 4096);
    this.encoder = new RecordEncoder(this.ram, this.#io, {
      detectZero,
      ...digests && { digests },
      xbzrle: this.control.buffer,
    });
  }

  write(block: number, page: number, change: (bytes: Uint8Array) => void): void {
    change(this.ram.blocks[block]!.view(page * 4096, 4096));
    this.ram.blocks[block]!.untouched.delete(page);
    this.ram.blocks[block]!.dirty.add(page);
  }

  /** Sends what is dirty. @returns The records, which the replica has got. */
  send(): Uint8Array {
    let at = OUT;
    for (const block of this.ram.blocks) {
      at = this.encoder.encodeRun(block, 0, block.pageCount, at);
    }
    const bytes = new Uint8Array(this.#io.buffer).slice(OUT, at);
    for (let at = 0; at < bytes.length;) {
      const room = this.#stream.room().subarray(0, 700);
      const piece = bytes.subarray(at, at + room.length);
      room.set(piece);
      this.#stream.filled(piece.length);
      assertEquals(this.#decoder.advance(), "more");
      at += piece.length;
    }
    assertEquals(this.#stream.available, 0);
    return bytes;
  }

  get counters(): number[] {
    return (["cacheMiss", "pages", "overflow", "bytes"] as const).map((counter) =>
      this.control.counter(counter)
    );
  }
}

const hex = (text: string) => text.replaceAll(" ", "");

Deno.test("An XBZRLE source sends pages whole at first, then whole into the cache, then differences", () => {
  const sender = new Sender();
  sender.write(1, 2, (page) => page.fill(7));
  assertEquals(sender.send().length, 8 + 5 + 4096);
  assertEquals(sender.counters, [0, 0, 0, 0]);

  sender.control.round = 2;
  sender.write(1, 2, (page) => page[0] = 1);
  assertEquals(sender.send().length, 8 + 4096);
  assertEquals(sender.counters, [1, 0, 0, 0]);

  sender.control.round = 3;
  sender.write(1, 2, (page) => {
    page[0] = 2;
    page[200] = 3;
    page[201] = 4;
  });
  // 1 byte after none, 2 bytes after 199 (0xc7: 0xc7 0x01).
  assertEquals(
    sender.send().toHex(),
    hex("0000000000002060 01 0008 00 01 02 c701 02 0304"),
  );
  assertEquals(sender.counters, [1, 1, 0, 11]);
  assertSameRam(sender.replica, sender.ram);
});

Deno.test("An XBZRLE record that names its block counts the name, as QEMU does", () => {
  const sender = new Sender();
  sender.control.round = 2;
  sender.write(1, 2, (page) => page.fill(7));
  sender.send();
  sender.encoder.forgetBlock();
  sender.write(1, 2, (page) => page[0] = 9);
  assertEquals(sender.send().toHex(), hex("0000000000002040 04 68656170 01 0003 00 01 09"));
  assertEquals(sender.control.counter("bytes"), 5 + 3 + 3);
});

Deno.test("An XBZRLE source sends nothing of a page that is as it was", () => {
  const sender = new Sender();
  sender.control.round = 2;
  sender.write(1, 2, (page) => page.fill(7));
  sender.send();
  sender.write(1, 2, () => {});
  assertEquals(sender.send().length, 0);
  assertEquals([...sender.counters, sender.encoder.encodedPages], [1, 1, 0, 0, 1]);
  // The next record still continues the block that the last one named.
  sender.write(1, 2, (page) => page[0] = 1);
  assertEquals(sender.send().toHex().slice(0, 16), "0000000000002060");
});

Deno.test("An XBZRLE source sends a page whole that differs too much, and knows it afterwards", () => {
  const sender = new Sender();
  sender.control.round = 2;
  sender.write(0, 1, (page) => page.fill(7));
  sender.send();
  sender.write(0, 1, (page) => page.forEach((_, i) => i % 2 ? page[i] = 1 : 0));
  assertEquals(sender.send().length, 8 + 4096);
  assertEquals(sender.counters, [1, 1, 1, 4096]);
  sender.write(0, 1, (page) => page[4095] = 2);
  assertEquals(sender.send().toHex(), hex("0000000000001060 01 0004 ff1f 01 02"));
  assertSameRam(sender.replica, sender.ram);
});

Deno.test("An XBZRLE source sends zeros as zeros, and differences to them", () => {
  const sender = new Sender();
  sender.control.round = 2;
  sender.write(1, 5, (page) => page.fill(7));
  sender.write(1, 6, (page) => page.fill(0));
  sender.send();
  sender.write(1, 5, (page) => page.fill(0));
  assertEquals(sender.send().toHex(), "000000000000502200");
  sender.write(1, 5, (page) => page[1] = 9);
  sender.write(1, 6, (page) => page[1] = 9);
  assertEquals(
    sender.send().toHex(),
    hex("0000000000005060 01 0003 01 01 09 0000000000006060 01 0003 01 01 09"),
  );
  assertSameRam(sender.replica, sender.ram);
});

Deno.test("An XBZRLE source gives no page a place that another one holds", () => {
  const sender = new Sender(1);
  sender.control.round = 2;
  sender.write(1, 1, (page) => page.fill(1));
  sender.write(1, 2, (page) => page.fill(2));
  sender.send();
  sender.control.round = 3;
  sender.write(1, 1, (page) => page[0] = 5);
  sender.write(1, 2, (page) => page[0] = 5);
  assertEquals(sender.send().length, 8 + 3 + 3 + 8 + 4096);
  assertEquals(sender.counters, [3, 1, 0, 6]);
  assertSameRam(sender.replica, sender.ram);
});

Deno.test("An XBZRLE source keeps a page for the round it was used in and the one after it", () => {
  const sender = new Sender(16);
  /** @returns Whether it was sent as differences. */
  const send = (page: number, round: number) => {
    sender.control.round = round;
    sender.write(1, page, (bytes) => bytes[9]!++);
    return sender.send().length < 4096;
  };
  // The blocks have 3 and 29 pages: 16 apart are one place.
  assertEquals([send(5, 2), send(21, 2), send(21, 3)], [false, false, false]);
  // Looking for it counts as using it, finding another page in its place does not.
  assertEquals([send(5, 3), send(21, 4), send(5, 4)], [true, false, true]);
  assertEquals([send(21, 6), send(21, 6), send(5, 7)], [false, true, false]);
  // Zeros take a place as well.
  sender.control.round = 8;
  sender.write(1, 5, (bytes) => bytes.fill(0));
  assertEquals(sender.send().length, 9);
  assertEquals([send(5, 8), send(21, 9), send(5, 9)], [true, false, true]);
  assertSameRam(sender.replica, sender.ram);
});

Deno.test("An XBZRLE source claims what it sends, and only that", () => {
  const sender = new Sender();
  const [, heap] = sender.ram.blocks;
  sender.control.round = 2;
  heap!.dirty.fill(0, heap!.pageCount, true);
  sender.encoder.encodeRun(heap!, 3, 7, OUT);
  const dirty = Array.from({ length: heap!.pageCount }, (_, page) => page)
    .filter((page) => heap!.dirty.has(page));
  assertEquals(dirty, [0, 1, 2, ...Array.from({ length: 19 }, (_, i) => 10 + i)]);
});

Deno.test("An XBZRLE source in its last stage puts nothing into the cache, and still uses it", () => {
  const sender = new Sender();
  sender.control.round = 2;
  sender.write(1, 1, (page) => page.fill(1));
  sender.send();
  sender.control.lastStage = true;
  sender.write(1, 1, (page) => page[0] = 5);
  sender.write(1, 2, (page) => page.fill(2));
  assertEquals(sender.send().length, 8 + 3 + 3 + 8 + 4096);
  sender.write(1, 2, (page) => page[0] = 5);
  assertEquals(sender.send().length, 8 + 4096);
  assertSameRam(sender.replica, sender.ram);
});

Deno.test("An XBZRLE source whose cache changes its size begins with an empty one", () => {
  const sender = new Sender();
  sender.control.round = 2;
  sender.write(1, 1, (page) => page.fill(1));
  sender.send();
  sender.control.cacheSize = 2 * 4096;
  sender.write(1, 1, (page) => page[0] = 5);
  assertEquals(sender.send().length, 8 + 4096);
  sender.write(1, 1, (page) => page[0] = 6);
  assertEquals(sender.send().length, 8 + 3 + 3);
  sender.control.round = 0;
  sender.write(1, 1, (page) => page[0] = 7);
  assertEquals(sender.send().length, 8 + 4096);
  assertSameRam(sender.replica, sender.ram);
});

for (const cachePages of [1, 4, 32]) {
  for (const digests of [false, true]) {
    Deno.test(`XBZRLE moves whatever changes: cache of ${cachePages} pages, digests ${digests}`, async () => {
      const random = numbers(cachePages * 2 + Number(digests));
      const ram = GuestRam.create(SPECS);
      const log = new HashLog(ram);
      await log.start();
      const sender = new Sender(cachePages, { ram, ...digests && { digests: log.digests } });
      for (let round = 1; round < 60; round++) {
        sender.control.round = round > 1 ? round : 0;
        if (round === 40) sender.control.cacheSize = 8 * 4096;
        for (let i = 0; i < 12; i++) {
          const block = random(2);
          sender.write(block, random(SPECS[block]!.length / 4096), (page) => {
            if (random(8) === 0) page.fill(0);
            else changeSome(page, random);
          });
        }
        sender.send();
        assertSameRam(sender.replica, ram);
      }
      const { normalPages, zeroPages, encodedPages } = sender.encoder;
      assert(normalPages > 20 && zeroPages > 20 && encodedPages > 5, `${sender.counters}`);
      if (digests) assertEquals(await log.sync(), 0);
      await log.stop();
    });
  }
}

Deno.test("An XBZRLE source sends raw zeros when it is told not to look for them", () => {
  const sender = new Sender(32, { detectZero: false });
  sender.control.round = 2;
  sender.write(1, 1, (page) => page.fill(1));
  sender.send();
  sender.write(1, 1, (page) => page.fill(0, 0, 4));
  assertEquals(sender.send().toHex(), hex("0000000000001060 01 0006 00 04 00000000"));
  assertSameRam(sender.replica, sender.ram);
});

Deno.test("XBZRLE sends the same bytes that it remembers, whatever the guest writes meanwhile", async () => {
  const sender = new Sender();
  const [block] = sender.ram.blocks;
  sender.control.round = 2;
  sender.write(0, 1, (page) => page.fill(7));
  sender.send();
  const state = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL("./fixtures/scribbler.ts", import.meta.url), {
    type: "module",
  });
  const ready = new Promise((resolve) => worker.onmessage = resolve);
  worker.postMessage({ memory: block!.segments[0]!.memory, state });
  await ready;
  Atomics.store(state, 0, 1);
  Atomics.notify(state, 0);
  while (Atomics.load(state, 0) === 1) {
    block!.dirty.add(1);
    sender.send();
  }
  worker.terminate();
  const [, pages] = sender.counters;
  assert(pages! > 50, `${pages}`);
  // A byte that had got into the cache and not into a record would never be sent.
  block!.dirty.add(1);
  sender.send();
  assertSameRam(sender.replica, sender.ram);
});
