/// <reference lib="deno.worker" />
// One end of a connection that transport_bench.ts measures.
import type { ChannelSpec } from "../src/transport/channel.ts";
import { openChannel } from "../src/transport/open_channel.ts";

/** What the benchmark posts; the answer is a message too, which may carry a port. */
export type BenchOrder =
  | { readonly do: "receive"; readonly spec: ChannelSpec }
  | { readonly do: "send"; readonly spec: ChannelSpec; readonly gather: boolean }
  | { readonly do: "listen with Deno" }
  | { readonly do: "connect with Deno"; readonly port: number };

/** Moved in one go, so that iterations per second are GiB/s. */
const TOTAL = 1 << 30;
const WRITE = 512 * 1024;
const READ = 256 * 1024;
const PAGE = 4096;
const RAM = 64 << 20;

const pages = RAM / 65536;
const ram = new Uint8Array(
  new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer,
).fill(1);
/** 128 pages a packet, far from each other. */
const packets = Array.from(
  { length: RAM / WRITE },
  (_, packet) =>
    Array.from({ length: WRITE / PAGE }, (_, i) => {
      const page = (packet * 7919 + i * 5003) % (RAM / PAGE);
      return ram.subarray(page * PAGE, (page + 1) * PAGE);
    }),
);

const chunk = (sent: number) => ram.subarray(sent % RAM, sent % RAM + WRITE);

async function obey(order: BenchOrder): Promise<void> {
  switch (order.do) {
    case "receive": {
      const channel = openChannel(order.spec);
      for (let total = 0, count; (count = await channel.read(target(total))) > 0;) total += count;
      return channel.close();
    }
    case "send": {
      const channel = openChannel(order.spec);
      for (let sent = 0; sent < TOTAL; sent += WRITE) {
        const packet = packets[sent / WRITE % packets.length];
        if (order.gather && packet) await channel.writeGather(packet);
        else await channel.write(chunk(sent));
      }
      await channel.shutdown();
      return channel.close();
    }
    case "listen with Deno": {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      self.postMessage(listener.addr.port);
      using conn = await listener.accept();
      for (let total = 0, count; (count = await conn.read(target(total)));) total += count;
      return;
    }
    case "connect with Deno": {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port: order.port });
      for (let sent = 0; sent < TOTAL; sent += WRITE) {
        const bytes = chunk(sent);
        for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      }
    }
  }
}

/** Where the next read goes: whole reads at places that move through the memory. */
function target(total: number): Uint8Array {
  const at = total % (RAM - READ);
  return ram.subarray(at, at + READ);
}

self.onmessage = async (event: MessageEvent<BenchOrder>) => {
  await obey(event.data);
  self.postMessage("done");
};
self.postMessage("ready");
