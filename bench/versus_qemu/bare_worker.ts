/**
 * One end of one bare socket.
 *
 * @module
 */
import { GuestRam, type GuestRamLayout } from "../../src/machine/guest_ram.ts";
import { serveWorker } from "../../src/threads/worker_port.ts";
import type { ChannelSpec } from "../../src/transport/channel.ts";
import { openChannel } from "../../src/transport/open_channel.ts";

/** What it is started with. */
export interface BareStart {
  readonly channel: ChannelSpec;
  readonly direction: "send" | "receive";
  readonly ram: GuestRamLayout;
  /** Its share of RAM, in bytes. */
  readonly from: number;
  readonly to: number;
  /** A word that is not 0 once it is to begin. */
  readonly go: SharedArrayBuffer;
}

/** As much as a packet has. */
const AT_ONCE = 512 * 1024;

serveWorker<BareStart>(async ({ channel: spec, direction, ram, from, to, go }, port) => {
  const block = new GuestRam(ram).blocks[0]!;
  const channel = openChannel(spec);
  const next = (at: number) => block.view(at, Math.min(AT_ONCE, to - at));
  port.ready();
  Atomics.wait(new Int32Array(go), 0, 0);
  if (direction === "send") {
    for (let at = from; at < to;) {
      const bytes = next(at);
      await channel.write(bytes);
      at += bytes.length;
    }
    await channel.shutdown();
    // The other end closes when it has read everything.
    await channel.read(new Uint8Array(1));
  } else {
    for (let at = from; at < to;) at += await channel.read(next(at));
  }
  channel.close();
});
