import { assert, assertEquals } from "@std/assert";
import { OutgoingStatistics } from "../../src/control/outgoing_statistics.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";

function statistics() {
  const ram = GuestRam.create([{ name: "ram", length: 100 * 4096 }]);
  const made = new OutgoingStatistics(ram, 300);
  const channels = [new ChannelCounters(), new ChannelCounters()];
  channels.forEach((channel) => made.addChannel(channel));
  return { statistics: made, channels };
}

async function pass(milliseconds: number): Promise<void> {
  const from = performance.now();
  while (performance.now() < from + milliseconds) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

Deno.test("OutgoingStatistics.info() has QMP's keys and no more than the status allows", () => {
  const { statistics: made } = statistics();
  assertEquals(made.info("none", 0), {});
  for (const status of ["setup", "wait-unplug", "failed", "cancelled"] as const) {
    assertEquals(made.info(status, 0), { status });
  }
  const active = made.info("active", 4096);
  assertEquals(active.status, "active");
  assertEquals(active.ram!.remaining, 4096);
  assertEquals(active.downtime, undefined);
  assertEquals(made.info("completed", 4096).ram!.remaining, 0);
});

Deno.test("OutgoingStatistics expects the limit of the downtime, then what was measured, then nothing", () => {
  const { statistics: figures } = statistics();
  assertEquals(figures.info("active", 0)["expected-downtime"], 300);
  figures.expectedDowntime = 4.6;
  assertEquals(figures.info("pre-switchover", 0)["expected-downtime"], 5);
  figures.guestStops();
  figures.guestRuns();
  assertEquals(figures.info("postcopy-active", 0)["expected-downtime"], undefined);
});

Deno.test("OutgoingStatistics adds channels up", () => {
  const { statistics: made, channels: [first, second] } = statistics();
  first!.add("bytes", 10_000);
  second!.add("bytes", 5000);
  first!.add("normalPages", 3);
  second!.add("normalPages", 1);
  first!.add("zeroPages", 7);
  const { ram } = made.info("active", 0);
  assertEquals(made.transferred, 15_000);
  assertEquals([ram!.transferred, ram!.normal, ram!["normal-bytes"], ram!.duplicate], [
    ...[15_000, 4, 16_384, 7],
  ]);
  assertEquals([ram!.total, ram!["page-size"]], [409_600, 4096]);
});

Deno.test("OutgoingStatistics tells bytes before, during and after the downtime apart", async () => {
  const { statistics: made, channels: [channel] } = statistics();
  made.setupDone();
  channel!.add("bytes", 100);
  made.guestStops();
  await pass(3);
  channel!.add("bytes", 20);
  made.guestRuns();
  channel!.add("bytes", 3);
  made.ended();
  const info = made.info("completed", 0);
  const { ram } = info;
  assertEquals(
    [ram!["precopy-bytes"], ram!["downtime-bytes"], ram!["postcopy-bytes"]],
    [100, 20, 3],
  );
  assert(info.downtime! >= 3 && info["total-time"]! >= info.downtime!);
});

Deno.test("OutgoingStatistics counts a downtime once, also when the guest runs on here", () => {
  const { statistics: made } = statistics();
  made.guestStops();
  made.guestRuns();
  const { downtime } = made.info("active", 0);
  made.guestRuns();
  assertEquals(made.info("active", 0).downtime, downtime);
});

Deno.test("OutgoingStatistics.measure() gives the bandwidth of pages with content", async () => {
  const { statistics: made, channels: [channel] } = statistics();
  assertEquals(made.bandwidth, 0);
  made.setupDone();
  made.measure(0, true);
  assertEquals(made.bandwidth, 0, "nothing was sent");
  await pass(5);
  // Compressed: what counts is the pages.
  channel!.add("bytes", 1000);
  channel!.add("normalPages", 50);
  made.measure(0, true);
  const { bandwidth } = made;
  assert(bandwidth > 0 && bandwidth <= 50 * 4096 / 5, `${bandwidth}`);
  // A window that is too short changes nothing.
  channel!.add("bytes", 1);
  made.measure();
  assertEquals(made.bandwidth, bandwidth);
});

Deno.test("OutgoingStatistics.measure() gives no more bandwidth than the limit lets pass", async () => {
  const { statistics: made, channels: [channel] } = statistics();
  made.setupDone();
  await pass(5);
  // A burst that is a whole second's.
  channel!.add("bytes", 1_000_000);
  channel!.add("normalPages", 10);
  made.measure(1_000_000, true);
  assertEquals(made.bandwidth, 1000);
});

Deno.test("OutgoingStatistics.synced() counts rounds and what was dirtied a second", async () => {
  const { statistics: made } = statistics();
  made.synced(0);
  await pass(5);
  made.synced(20);
  assertEquals(made.syncs, 2);
  const rate = made.info("active", 0).ram!["dirty-pages-rate"];
  assert(rate > 0 && rate <= 4000, `${rate}`);
  assertEquals(made.info("completed", 0).ram!["dirty-pages-rate"], 0);
});
