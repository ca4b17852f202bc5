import { assert, assertEquals } from "@std/assert";
import { VcpuDirtyLimit } from "../../src/control/dirty_limit.ts";
import type { OutgoingMachine } from "../../src/control/outgoing_machine.ts";
import { OutgoingThrottle } from "../../src/control/outgoing_throttle.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { FakeTime } from "./fixtures/fake_time.ts";
import { Pair, settings } from "./fixtures/pair.ts";

const MIB = 1024 ** 2;

function throttled(capabilities: Record<string, boolean>) {
  const throttles: number[] = [];
  const vcpu = {
    counters: { steps: 0, pages: 0, throttledTime: 0, idleTime: 0 },
    throttle: (percent: number) => throttles.push(percent),
  };
  const dirtyLimit = new VcpuDirtyLimit([vcpu]);
  const machine = { dirtyLimit, throttle: vcpu.throttle } as unknown as OutgoingMachine;
  const throttle = new OutgoingThrottle(machine, settings(capabilities).capabilities);
  return { throttle, throttles, dirtyLimit };
}

Deno.test("OutgoingThrottle throttles more and more with auto-converge, and ends it", () => {
  using time = new FakeTime();
  const { throttle, throttles } = throttled({ "auto-converge": true });
  const { parameters } = settings();
  const seen = [];
  for (let i = 1; i <= 6; i++) {
    time.tick(1001);
    throttle.synced(100 * MIB, i * 100 * MIB, parameters);
    seen.push(throttle.info()["cpu-throttle-percentage"]);
  }
  assertEquals(seen, [undefined, 20, 20, 30, 30, 40]);
  assertEquals(throttles, [20, 30, 40]);
  throttle.end();
  assertEquals([throttles.at(-1), throttle.info()], [0, {}]);
});

Deno.test("OutgoingThrottle leaves the guest alone without a capability", () => {
  using time = new FakeTime();
  const { throttle, throttles } = throttled({});
  for (let i = 1; i <= 6; i++) {
    time.tick(6000);
    throttle.synced(100 * MIB, i * MIB, settings().parameters);
    assertEquals(throttle.wantsSync, false);
  }
  throttle.end();
  assertEquals([throttles, throttle.info()], [[], {}]);
});

Deno.test("OutgoingThrottle limits vCPUs with dirty-limit, and takes that back", () => {
  using time = new FakeTime();
  const { throttle, throttles, dirtyLimit } = throttled({ "dirty-limit": true });
  const { parameters } = settings({}, { "vcpu-dirty-limit": 25 });
  for (let i = 1; i <= 3; i++) {
    time.tick(1001);
    throttle.synced(100 * MIB, i * 100 * MIB, parameters);
  }
  assertEquals(dirtyLimit.query()[0]!.limit, 25);
  assertEquals(throttles, [75]);
  assertEquals(throttle.info(), {
    "dirty-limit-throttle-time-per-round": 30_000,
    "dirty-limit-ring-full-time": 10_000,
  });
  throttle.end();
  assertEquals([throttles, dirtyLimit.active, throttle.info()], [[75, 0], false, {}]);
});

Deno.test("OutgoingThrottle wants a look at the log in the middle of a long round", () => {
  using time = new FakeTime();
  const { throttle } = throttled({ "auto-converge": true });
  throttle.synced(0, 0, settings().parameters);
  throttle.synced(0, 0, settings().parameters);
  time.tick(4999);
  assertEquals(throttle.wantsSync, false);
  time.tick(1);
  assertEquals(throttle.wantsSync, true);
});

for (const capability of ["auto-converge", "dirty-limit"]) {
  Deno.test(`${capability} ends a migration whose guest writes more than the connection carries`, async () => {
    await using pair = await Pair.create({ blocks: { ram: 1024 }, vcpus: ["beat,rate=100M"] });
    const incoming = pair.receive();
    const throttles: number[] = [];
    const outgoing = pair.send(formatUri(await incoming.listening), {
      ...settings({ [capability]: true }, {
        ...{ "max-bandwidth": 8 * MIB, "downtime-limit": 30 },
        ...{ "cpu-throttle-initial": 90, "cpu-throttle-increment": 9, "vcpu-dirty-limit": 1 },
      }),
      onEvent: () => {
        throttles.push(pair.source.vcpus[0]!.order.throttle);
      },
    });
    const info = await outgoing.completed;
    await incoming.completed;
    await pair.destination.stop();
    assert(Math.max(...throttles) > 50, `${throttles}`);
    assertEquals(pair.source.vcpus[0]!.order.throttle, 0);
    assertEquals(info["cpu-throttle-percentage"], undefined);
    assertEquals(await verifyRam(pair.destination), undefined);
  });
}
