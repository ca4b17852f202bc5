import { assertEquals } from "@std/assert";
import { prepareIncoming, prepareOutgoing } from "../../src/control/spare_threads.ts";
import { MAPPED_READ } from "../../src/mapped_ram/mapped_reader.ts";
import { MAPPED_WRITE } from "../../src/mapped_ram/mapped_writer.ts";
import { MULTIFD_RECEIVE } from "../../src/multifd/multifd_receiver.ts";
import { MULTIFD_SEND } from "../../src/multifd/multifd_sender.ts";
import { RETURN_PATH } from "../../src/postcopy/return_path.ts";
import { MAIN_RECEIVE } from "../../src/ram/incoming_stream.ts";
import { MAIN_SEND } from "../../src/ram/outgoing_stream.ts";
import { SpareWorkers } from "../../src/threads/spare_workers.ts";
import { TLS_SESSION } from "../../src/transport/tls_connection.ts";
import { settings } from "./fixtures/pair.ts";

/** Takes all threads of a kind that there are. */
async function takeAll(spares: SpareWorkers, url: URL): Promise<number> {
  let count = 0;
  for (let worker; (worker = spares.take(url)); count++) await worker.terminate();
  return count;
}

Deno.test("prepareOutgoing() and prepareIncoming() have one thread for each connection's end", async () => {
  await using spares = new SpareWorkers();
  const multifd = settings({ multifd: true }, { "multifd-channels": 3 });
  prepareOutgoing(spares, multifd);
  prepareIncoming(spares, multifd);
  await spares.ready();
  const kinds = [MAIN_SEND, RETURN_PATH, MULTIFD_SEND, MAIN_RECEIVE, MULTIFD_RECEIVE];
  const counts: number[] = [];
  for (const kind of kinds) counts.push(await takeAll(spares, kind));
  assertEquals(counts, [1, 1, 3, 1, 3]);
});

Deno.test("prepareOutgoing() without multifd and return path has the main channel's thread alone", async () => {
  await using spares = new SpareWorkers();
  prepareOutgoing(spares, settings({ "return-path": false }, { "multifd-channels": 3 }));
  await spares.ready();
  assertEquals(await takeAll(spares, MAIN_SEND), 1);
  assertEquals([spares.take(RETURN_PATH), spares.take(MULTIFD_SEND)], [undefined, undefined]);
});

Deno.test("prepareIncoming() keeps no more threads than 16 channels need", async () => {
  await using spares = new SpareWorkers();
  prepareIncoming(spares, settings({ multifd: true }, { "multifd-channels": 255 }));
  await spares.ready();
  assertEquals(await takeAll(spares, MULTIFD_RECEIVE), 16);
});

Deno.test("A mapped-ram file has a thread for its pages, or one for each channel of multifd", async () => {
  await using spares = new SpareWorkers();
  const plain = settings({ "mapped-ram": true, "return-path": false });
  const multifd = settings({ "mapped-ram": true, multifd: true }, { "multifd-channels": 3 });
  for (const [set, count] of [[plain, 1], [multifd, 3]] as const) {
    prepareOutgoing(spares, set);
    prepareIncoming(spares, set);
    await spares.ready();
    assertEquals(await takeAll(spares, MAIN_SEND), 1);
    assertEquals(await takeAll(spares, MAPPED_WRITE), count);
    assertEquals(await takeAll(spares, MAPPED_READ), count);
    for (const kind of [MULTIFD_SEND, MAIN_RECEIVE, MULTIFD_RECEIVE]) {
      assertEquals(spares.take(kind), undefined);
    }
  }
});

Deno.test("With TLS each connection has one more", async () => {
  await using spares = new SpareWorkers();
  const tls = { "tls-creds": "/etc/pki/qemu", "multifd-channels": 2 } as const;
  prepareOutgoing(spares, settings({ multifd: true }, tls));
  await spares.ready();
  assertEquals(await takeAll(spares, TLS_SESSION), 3);
  prepareIncoming(spares, settings({}, tls));
  await spares.ready();
  assertEquals(await takeAll(spares, TLS_SESSION), 1);
  prepareIncoming(spares, settings({ "postcopy-ram": true, "postcopy-preempt": true }, tls));
  await spares.ready();
  assertEquals(await takeAll(spares, TLS_SESSION), 2);
});
