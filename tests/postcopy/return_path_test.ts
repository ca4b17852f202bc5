import { setTimeout as delay } from "node:timers/promises";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, type MigrationError, StreamFormatError } from "../../src/errors.ts";
import { ReturnPath } from "../../src/postcopy/return_path.ts";
import { JobRing, Progress } from "../../src/threads/job_ring.ts";
import { RequestQueue } from "../../src/threads/request_queue.ts";
import { STOP_GRACE_MS } from "../../src/threads/worker_handle.ts";
import { connect } from "../../src/transport/connect.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { encodeReturnPathMessage, type ReturnPathMessage } from "../../src/wire/return_path.ts";
import { patternedRam } from "../ram/fixtures/patterned_ram.ts";
import { EventLog } from "../support/event_log.ts";

/** A connection of this process with itself. */
async function connected(): Promise<[Endpoint, Endpoint]> {
  await using listener = await listen(parseUri("tcp:127.0.0.1:0"));
  const [here, there] = await Promise.all([connect(listener.uri), listener.accept()]);
  return [here, there!];
}

/** What a main thread is told. */
class Heard {
  readonly messages = new EventLog<ReturnPathMessage>();
  readonly #closed = Promise.withResolvers<MigrationError>();
  readonly isClosed = this.#closed.promise;
  message(message: ReturnPathMessage): void {
    this.messages.push(message);
  }
  closed(error: MigrationError): void {
    this.#closed.resolve(error);
  }
}

const encoder = { detectZero: true };

Deno.test("ReturnPath passes messages on, and tells of its end", async () => {
  const [here, there] = await connected();
  const heard = new Heard();
  await using _ = await ReturnPath.start({ channel: here.handOff() }, heard);
  const destination = openChannel(there.handOff());
  await destination.write(encodeReturnPathMessage({ type: "PONG", value: 5 }));
  await heard.messages.wait(({ type }) => type === "PONG", { what: "PONG" });
  destination.close();
  assert(await heard.isClosed instanceof ConnectionLostError);
});

Deno.test("ReturnPath tells of what cannot be understood", async () => {
  const [here, there] = await connected();
  const heard = new Heard();
  await using _ = await ReturnPath.start({ channel: here.handOff() }, heard);
  const destination = openChannel(there.handOff());
  await destination.write(new Uint8Array(8).fill(0xff));
  assert(await heard.isClosed instanceof StreamFormatError);
  destination.close();
});

Deno.test("ReturnPath answers requests over the preempt channel, and ends it", async () => {
  const [here, there] = await connected();
  const [from, to] = await connected();
  const ram = patternedRam(false);
  const progress = new Progress();
  const requests = RequestQueue.create(progress);
  requests.open();
  const ring = JobRing.create(2, progress);
  const heard = new Heard();
  const pages = {
    ...{ ram: ram.layout, requests: requests.layout, ring: ring.layout },
    recovering: false,
  };
  const path = await ReturnPath.start({ channel: here.handOff(), pages }, heard);
  await path.usePreempt(from.handOff(), encoder);
  const destination = openChannel(there.handOff());
  const preempt = openChannel(to.handOff());
  const ask: ReturnPathMessage = { type: "REQ_PAGES", block: "low", start: 4096, length: 4096 };
  await destination.write(encodeReturnPathMessage(ask));
  const record = new Uint8Array(8 + 4 + 4096);
  for (let at = 0; at < record.length;) at += await preempt.read(record.subarray(at));
  assertEquals(record.subarray(0, 12).toHex(), "0000000000001008036c6f77");
  assertEquals(record.subarray(12), Uint8Array.from(ram.blocks[0]!.view(4096, 4096)));
  assertEquals(requests.count, 1);

  await path.endPreempt();
  const end = new Uint8Array(16);
  assertEquals(await preempt.read(end), 8);
  assertEquals(end.subarray(0, 8).toHex(), "0000000000000010");
  assertEquals(path.preemptCounters.get("bytes"), record.length + 8);

  destination.close();
  await heard.isClosed;
  await assertRejects(() => path.endPreempt(), ConnectionLostError);
  await path[Symbol.asyncDispose]();
  assertEquals(await preempt.read(end), 0);
  preempt.close();
});

for (const how of ["silent", "asking all the time"]) {
  Deno.test(`A ReturnPath ends with its connection, its destination being ${how}`, async () => {
    const [here, there] = await connected();
    const ram = patternedRam(false);
    ram.blocks[0]!.dirty.fill(0, ram.blocks[0]!.pageCount, false); // there is nothing to answer
    const progress = new Progress();
    const requests = RequestQueue.create(progress);
    requests.open();
    const ring = JobRing.create(2, progress);
    const pages = {
      ...{ ram: ram.layout, requests: requests.layout, ring: ring.layout },
      recovering: false,
    };
    const path = await ReturnPath.start({ channel: here.handOff(), pages }, new Heard());
    const destination = openChannel(there.handOff());
    const ask = { type: "REQ_PAGES", block: "low", start: 4096, length: 4096 } as const;
    const request = encodeReturnPathMessage(ask);
    await destination.write(request);
    let isOver = false;
    const asking = (async () => {
      for (; how !== "silent" && !isOver; await delay(1)) await destination.write(request);
    })().catch(() => {}); // it ends in the middle
    while (requests.count === 0) await delay(2);
    await delay(200); // by then it waits for long, or is busy
    const before = performance.now();
    await path[Symbol.asyncDispose]();
    // A thread that has to be terminated leaves its descriptor open: the destination never learns of it.
    assert(performance.now() - before < STOP_GRACE_MS, "it was terminated");
    isOver = true;
    destination.close();
    await asking;
  });
}
