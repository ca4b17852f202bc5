/**
 * The running machine: what a look at the control word costs a step, how long a pause takes, how fast
 * the guests write and keep their rate, and how fast RAM is verified. The baseline for what touches RAM
 * is the engine's own fill of as many bytes.
 *
 * @module
 */
import { GuestChecks } from "../src/machine/guest_checks.ts";
import { Presence } from "../src/machine/presence.ts";
import { GuestRam } from "../src/machine/guest_ram.ts";
import { guestAt, type GuestSpec, parseGuestSpec } from "../src/machine/guest_spec.ts";
import { PagedGuest, type PagedSpec } from "../src/machine/guests/paged_guest.ts";
import { Machine } from "../src/machine/machine.ts";
import { runVcpu, type VcpuBoot } from "../src/machine/vcpu_loop.ts";
import { encodeVcpuState } from "../src/machine/vcpu_state.ts";
import { digestBlocks } from "../src/machine/verify/digest_blocks.ts";
import { findWrongPage } from "../src/machine/verify/find_wrong_page.ts";
import { ControlWord } from "../src/threads/control_word.ts";

const MIB = 1024 ** 2;
const STEPS = 100_000;

/** A module guest whose last step stops its vCPU, so that the loop runs in this thread. */
function countdown(body: string): GuestSpec {
  const code = `export default () => {
    let left = ${STEPS};
    return { step() { if (--left === 0) globalThis.stopBenchVcpu(); ${body} } };
  };`;
  return guestAt(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
}

const small = GuestRam.create([{ name: "heap", length: MIB }]);

async function runSteps(guest: GuestSpec): Promise<void> {
  const control = ControlWord.create();
  Object.assign(globalThis, { stopBenchVcpu: () => control.order({ command: "stop" }) });
  control.order({ command: "run" });
  const { port1, port2 } = new MessageChannel();
  const boot: VcpuBoot = { state: undefined };
  await runVcpu(
    {
      index: 0,
      vcpus: 1,
      ram: small.layout,
      control: control.memory,
      presence: Presence.create(1).memory,
      guest,
      options: {},
      port: port1,
    },
    {
      ready: () => {},
      post: () => {},
      receive: () => Promise.resolve(boot),
      async *[Symbol.asyncIterator]() {},
    },
  );
  port1.close();
  port2.close();
}

for (
  const [name, body] of [
    ["that does nothing", ""],
    ["that returns a promise", "return Promise.resolve();"],
  ] as const
) {
  const guest = countdown(body);
  Deno.bench({
    name: `100 000 steps ${name}`,
    group: "vCPU",
    n: 20,
    async fn() {
      await runSteps(guest);
    },
  });
}

Deno.bench({
  name: "100 starts, and stops until acknowledged with state",
  group: "pause",
  n: 5,
  async fn(bench) {
    await using machine = await Machine.create({
      name: "bench",
      ram: { heap: 64 * MIB },
      vcpus: ["beat,rate=max"],
    });
    bench.start();
    for (let i = 0; i < 100; i++) {
      await machine.start();
      await machine.stop();
    }
    bench.end();
  },
});

// Touched once, outside of what is measured: the host provides memory slowly.
const ram = GuestRam.create([{ name: "heap", length: 64 * MIB }]);
const bytes = ram.blocks[0]!.view(0, ram.length).fill(1);

interface Bench {
  readonly spec: PagedSpec;
  readonly guest: PagedGuest;
  write(length: number): void;
}

function guestOf(text: string): Bench {
  const spec = parseGuestSpec(text) as PagedSpec;
  let pages = 0;
  const guest = new PagedGuest(spec, ram, new GuestChecks(ram.pageSize), {
    index: 0,
    vcpus: 1,
    clock: () => performance.now(),
    countPages: (count) => pages += count,
  });
  const write = (length: number) => {
    for (const end = pages + length / ram.pageSize; pages < end;) guest.step();
  };
  return { spec, guest, write };
}

const group = "64 MiB written";
Deno.bench({ name: "fill()", group, baseline: true, fn: () => void bytes.fill(2) });
for (
  const text of [
    "beat",
    "stress",
    "stress,order=sequential",
    "stress,zero=100",
    "stress,text=100",
    "stress,random=100",
    "stress,write=word",
  ]
) {
  const { write } = guestOf(`${text},rate=max`);
  write(ram.length);
  Deno.bench({ name: text, group, fn: () => write(ram.length) });
}

for (const [text, length] of [["1G", 16 * MIB], ["200M", 4 * MIB]] as const) {
  const { write } = guestOf(`stress,fill=off,rate=${text}`);
  const due = text === "1G" ? "15.6 ms" : "20 ms";
  Deno.bench({
    name: `${length / MIB} MiB at ${text} a second: ${due}`,
    group: "rate",
    n: 20,
    fn: () => write(length),
  });
}

for (const text of ["beat", "stress"]) {
  const { guest, spec, write } = guestOf(`${text},rate=max`);
  Deno.bench({
    name: `every byte of ${text}`,
    group: "64 MiB checked",
    n: 20,
    fn(bench) {
      bytes.fill(0);
      guest.load(guestOf(text).guest.save());
      write(ram.length);
      const state = encodeVcpuState(guest.save());
      bench.start();
      const wrong = findWrongPage(ram, [{ guest: spec, state }]);
      bench.end();
      if (wrong) throw new Error(`${wrong.found}`);
    },
  });
}
Deno.bench({ name: "digest", group: "64 MiB checked", fn: () => void digestBlocks(ram) });
