import { uint8, vmstate } from "../../src/vmstate/mod.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { libcProblem } from "../../src/os/libc.ts";
import { Machine } from "../../src/machine/machine.ts";
import { defaultParameters } from "../../src/control/parameters.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { defaultCapabilities } from "../../src/control/capabilities.ts";
import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { ProvidedRam } from "../../src/control/provided_ram.ts";
import { hostRanges } from "../../src/dirty/host_range.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Pagemap } from "../../src/os/pagemap.ts";
import { probeHost } from "../../src/os/probe.ts";

const LENGTH = 128 * 1024 ** 2;
const ignore = probeHost().pageContent !== undefined;

/** How many bytes of RAM the kernel has provided. */
function provided(ram: GuestRam): number {
  const pagemap = Pagemap.open();
  assert(typeof pagemap !== "number");
  let bytes = 0;
  for (const { start, end } of hostRanges(ram)!) {
    for (let at = start; at < end; at = pagemap.resumeAt) {
      const count = pagemap.find("content", at, end);
      for (let i = 0; i < count; i++) bytes += pagemap.rangeEnd(i) - pagemap.rangeStart(i);
    }
  }
  pagemap.close();
  return bytes;
}

Deno.test({
  name: "ProvidedRam provides RAM, and gives back what nobody wrote",
  ignore,
  async fn() {
    const ram = GuestRam.create([{ name: "ram", length: LENGTH }]);
    const [block] = ram.blocks;
    await using provision = await ProvidedRam.begin(ram);
    assert(provision);
    await provision.ended;
    assertEquals(provided(ram), LENGTH);
    assertEquals(block!.untouched.count(), block!.pageCount, "as untouched as before");
    // Two pages are received; the rest of their large pages stays with them.
    for (const page of [100, 20_000]) {
      block!.view(page * 4096, 1)[0] = page;
      block!.untouched.delete(page);
    }
    provision.giveBack();
    const left = provided(ram);
    assert(left >= 2 * 4096 && left <= 4 * 2 * 1024 ** 2, `${left}`);
    assertEquals([100, 20_000].map((page) => block!.view(page * 4096, 1)[0]), [100, 20_000 & 0xff]);
  },
});

Deno.test({
  name: "ProvidedRam keeps what was there before it began",
  ignore,
  async fn() {
    const ram = GuestRam.create([{ name: "ram", length: LENGTH }]);
    const [block] = ram.blocks;
    block!.view(50 * 1024 ** 2, 1)[0] = 7;
    await using provision = await ProvidedRam.begin(ram);
    await provision!.ended;
    assertEquals(block!.untouched.count(), block!.pageCount - 1);
    provision!.giveBack();
    assertEquals(block!.view(50 * 1024 ** 2, 1)[0], 7);
  },
});

Deno.test({
  name: "ProvidedRam can be ended before it has done all",
  ignore,
  async fn() {
    const ram = GuestRam.create([{ name: "ram", length: 1024 ** 3 }]);
    const provision = await ProvidedRam.begin(ram);
    await provision![Symbol.asyncDispose]();
    await provision!.ended;
    const there = provided(ram);
    assert(there < 1024 ** 3, `${there}`);
    provision!.giveBack();
  },
});

Deno.test("ProvidedRam does not bother with little RAM, nor with more than there is memory", async () => {
  assertEquals(await ProvidedRam.begin(GuestRam.create([{ name: "r", length: 65536 }])), undefined);
  const { total } = Deno.systemMemoryInfo();
  const length = Math.ceil(total / 65536) * 65536;
  assertEquals(await ProvidedRam.begin(GuestRam.create([{ name: "r", length }])), undefined);
});

Deno.test({
  name: "What a device writes into RAM when it is loaded is not given back",
  ignore: libcProblem() !== undefined,
  async fn() {
    const length = 64 * 1024 ** 2;
    const page = length / 2;
    const machine = async (postLoad?: () => void) => {
      const description = vmstate("writer", {
        fields: { x: uint8() },
        ...postLoad && { postLoad },
      });
      const devices = [{ description, instance: { x: 1 } }];
      return await Machine.create({ name: "pair", ram: { ram: length }, devices });
    };
    await using source = await machine();
    await using destination = await machine(() => {
      destination.ram.blocks[0]!.view(page, 1)[0] = 7;
    });
    const settings = { capabilities: defaultCapabilities(), parameters: defaultParameters() };
    const incoming = new IncomingMigration(new MachineTarget(destination), {
      ...{ uri: parseUri("tcp:127.0.0.1:0"), ...settings },
    });
    const uri = await incoming.listening;
    await new OutgoingMigration(new MachineSource(source), { uri, ...settings }).completed;
    await incoming.completed;
    assertEquals(destination.ram.blocks[0]!.view(page, 1)[0], 7);
  },
});
