import { assertEquals } from "@std/assert";
import { channelInfos } from "../../src/control/channel_info.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";

Deno.test("channelInfos() shows each channel's counters in QMP's style, times as whole milliseconds", () => {
  const [first, second] = [new ChannelCounters(), new ChannelCounters()];
  first.add("bytes", 12345);
  first.add("packets", 6);
  first.add("normalPages", 3);
  first.add("zeroPages", 4);
  first.add("idleMs", 1.7);
  first.add("waitMs", 20.2);
  const nothing = { bytes: 0, packets: 0, normal: 0, duplicate: 0 };
  assertEquals(
    channelInfos([
      { name: "multifd 0", counters: first },
      { name: "multifd 1", counters: second },
    ]),
    [
      {
        ...{ name: "multifd 0", bytes: 12345, packets: 6, normal: 3, duplicate: 4 },
        ...{ "idle-time": 2, "wait-time": 20 },
      },
      { name: "multifd 1", ...nothing, "idle-time": 0, "wait-time": 0 },
    ],
  );
});
