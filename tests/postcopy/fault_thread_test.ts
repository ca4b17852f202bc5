import { assert, assertEquals, assertRejects } from "@std/assert";
import { type MigrationError, StateError } from "../../src/errors.ts";
import { FaultThread } from "../../src/postcopy/fault_thread.ts";
import { FaultedPages } from "../../src/postcopy/faulted_pages.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import { EventLog } from "../support/event_log.ts";
import type { TouchStart } from "../interop/touch_pages.ts";
import { touchProgress, TouchWord } from "../interop/touch_word.ts";
import { connectedSpecs } from "../ram/fixtures/channels.ts";
import { KINDS, Missing } from "./fixtures/missing.ts";
import { ReturnPathReader } from "./fixtures/return_path_reader.ts";

/** A thread, the other end of its connection, and what it complains about. */
async function start() {
  const { from, to } = await connectedSpecs();
  const complaints = new EventLog<Error>();
  const thread = await FaultThread.start({
    channel: from,
    onLost: (error) => complaints.push(error),
    onFailure: (error: MigrationError) => complaints.push(error),
  });
  return { thread, source: new ReturnPathReader(to), complaints };
}

/** Somebody who reads every page, one after the other. */
function touchAll(missing: Missing, asks: boolean): Promise<WorkerHandle<TouchStart>> {
  const progress = touchProgress();
  return WorkerHandle.start<TouchStart>({
    name: "toucher",
    url: new URL("../interop/touch_pages.ts", import.meta.url),
    start: {
      ram: missing.ram.layout,
      block: "more",
      presence: missing.presence.memory,
      asks,
      progress,
    },
    interrupt: () => Atomics.store(progress, TouchWord.STOP, 1),
  });
}

Deno.test("FaultThread sends messages in their order, until the end", async () => {
  const { thread, source } = await start();
  using _ = source;
  await Promise.all([1, 2, 3].map((value) => thread.send({ type: "PONG", value })));
  assertEquals([await source.next(), await source.next(), await source.next()], [
    ...["PONG 1", "PONG 2", "PONG 3"],
  ]);
  await thread.shutdown();
  assertEquals(await source.next(), undefined);
  await thread[Symbol.asyncDispose]();
  await assertRejects(() => thread.send({ type: "PONG", value: 4 }), StateError, "has ended");
});

for (const kind of KINDS) {
  Deno.test(`FaultThread asks for what is used, and again on another connection (${kind})`, async () => {
    using missing = new Missing(kind);
    const { thread, source, complaints } = await start();
    using _ = source;
    const { layout } = missing.missing;
    await thread.watch(layout);
    const toucher = await touchAll(missing, kind === "checks");
    assertEquals(await source.next(), "REQ_PAGES more 0");
    // It still has an ear for everything else.
    await thread.send({ type: "PONG", value: 9 });
    assertEquals(await source.next(), "PONG 9");

    await thread.hold();
    assertEquals(await source.next(), undefined);
    await assertRejects(() => thread.send({ type: "PONG", value: 1 }), Error, "no connection");
    const { from, to } = await connectedSpecs();
    using second = new ReturnPathReader(to);
    await thread.setChannel(from);
    missing.ram.blocks[0]!.received.fill(0, 3, true);
    await thread.sendBitmap(missing.ram, missing.ram.blocks[0]!);
    assertEquals(await second.next(), "RECV_BITMAP");
    assertEquals(await second.reader.be64("the size"), 8n);
    assertEquals(await second.reader.be64("the bits"), 0x0700000000000000n);
    assertEquals(await second.reader.be64("the mark"), 0x0123456789abcdefn);
    await thread.resume();
    assertEquals(await second.next(), "RESUME_ACK 1");
    assertEquals(await second.next(), "REQ_PAGES more 0");

    const [, more] = missing.ram.blocks;
    if (kind === "userfaultfd") {
      const store = new FaultedPages(layout, layout.userfaultfd!);
      for (let page = 0; page < 4; page++) {
        store.placeZeros(more!, page);
        // The stride makes it the last page that is used next.
        if (page < 3) continue;
        await toucher.ended;
      }
    }
    await thread.unwatch();
    assertEquals(complaints.entries, []);
    await toucher.stop();
    await thread[Symbol.asyncDispose]();
  });
}

Deno.test("FaultThread says when a request cannot be sent, and gives up a source that does not read", async () => {
  using missing = new Missing("checks");
  const { thread, source, complaints } = await start();
  await thread.watch(missing.missing.layout);
  source[Symbol.dispose]();
  // More than any buffer holds: it hangs, or finds the connection closed.
  const sending = thread.send({ type: "PONG", value: 1 }).catch(() => {});
  const toucher = await touchAll(missing, true);
  await thread.hold();
  await sending;
  await toucher.stop();
  await thread[Symbol.asyncDispose]();
  assert(complaints.entries.length <= 1);
});
