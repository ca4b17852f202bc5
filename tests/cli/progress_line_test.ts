import { assertEquals, assertStringIncludes } from "@std/assert";
import { incomingLine, outgoingLine, slowest } from "../../src/cli/progress_line.ts";
import { ACTIVE, channels } from "./fixtures/info.ts";

Deno.test("outgoingLine() says sent, remaining of total, rate, dirty rate, round, state", () => {
  assertEquals(
    outgoingLine(ACTIVE),
    "active:  sent 512 MiB, 256 MiB of 1.00 GiB left, 300 MiB/s, dirty 100 MiB/s, round 3 " +
      "(downtime would be 40 ms)",
  );
  assertEquals(outgoingLine({ status: "setup" }), "setup");
  assertEquals(outgoingLine({}), "none");
  assertStringIncludes(
    outgoingLine({ ...ACTIVE, "cpu-throttle-percentage": 20 }),
    "guest throttled 20 %",
  );
});

Deno.test("incomingLine() says how much has come and how fast", () => {
  assertEquals(incomingLine({ status: "setup" }, 0, 0), "setup");
  assertEquals(
    incomingLine({ status: "active" }, 1024 ** 3, 1024 ** 2),
    "active: received 1.00 GiB, 1.00 MiB/s",
  );
});

Deno.test("slowest() says which side is the brake, when one is", () => {
  assertEquals(slowest(ACTIVE), undefined);
  assertEquals(slowest(channels(10, 100)), "the other side or the network is the brake");
  assertEquals(slowest(channels(100, 10)), "what feeds the channels is the brake");
  assertEquals(slowest(channels(10, 12)), undefined);
});
