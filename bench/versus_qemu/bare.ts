/**
 * What a machine's RAM takes over bare sockets: the same number of connections, a thread for each at both
 * ends, each sends its share in one piece. Nothing is looked at, packed or listed.
 *
 * @module
 */
import { hostRanges } from "../../src/dirty/host_range.ts";
import type { GuestRam } from "../../src/machine/guest_ram.ts";
import { provide } from "../../src/os/provide.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import type { ChannelSpec } from "../../src/transport/channel.ts";
import { connect } from "../../src/transport/connect.ts";
import { listen } from "../../src/transport/listen.ts";
import type { MigrationUri } from "../../src/transport/uri.ts";
import type { BareStart } from "./bare_worker.ts";

const WORKER = new URL("./bare_worker.ts", import.meta.url);

function start(
  ram: GuestRam,
  direction: "send" | "receive",
  channels: readonly ChannelSpec[],
  go: SharedArrayBuffer,
): Promise<WorkerHandle<BareStart>[]> {
  const pages = ram.blocks[0]!.pageCount;
  return Promise.all(channels.map((channel, i) =>
    WorkerHandle.start<BareStart>({
      name: `bare ${i}`,
      url: WORKER,
      start: {
        ...{ channel, direction, go, ram: ram.layout },
        from: Math.floor(pages * i / channels.length) * ram.pageSize,
        to: Math.floor(pages * (i + 1) / channels.length) * ram.pageSize,
      },
    })
  ));
}

async function ended(workers: readonly WorkerHandle<BareStart>[]): Promise<void> {
  await Promise.all(workers.map((worker) => worker.ended));
}

/** Sends RAM. @returns How many milliseconds it took until all of it was read at the other end. */
export async function sendBare(
  ram: GuestRam,
  uri: MigrationUri,
  channels: number,
): Promise<number> {
  const endpoints = await Promise.all(Array.from({ length: channels }, () => connect(uri)));
  const go = new SharedArrayBuffer(4);
  const workers = await start(ram, "send", endpoints.map((each) => each.handOff()), go);
  const before = performance.now();
  Atomics.store(new Int32Array(go), 0, 1);
  Atomics.notify(new Int32Array(go), 0);
  await ended(workers);
  return performance.now() - before;
}

/** Receives RAM, which is provided before. @param listening Is told where, once all is ready. */
export async function receiveBare(
  ram: GuestRam,
  uri: MigrationUri,
  channels: number,
  listening: (uri: MigrationUri) => void,
): Promise<void> {
  const ranges = hostRanges(ram) ?? [];
  provide({
    ranges: ranges.map(({ start, end }) => ({ start, end })),
    stop: new SharedArrayBuffer(4),
  });
  await using listener = await listen(uri);
  listening(listener.uri);
  const specs: ChannelSpec[] = [];
  while (specs.length < channels) specs.push((await listener.accept())!.handOff());
  const go = new SharedArrayBuffer(4);
  new Int32Array(go)[0] = 1;
  await ended(await start(ram, "receive", specs, go));
}
