import { assert, assertEquals, assertThrows } from "@std/assert";
import { ArrivingPages } from "../../src/control/arriving_pages.ts";
import { withSourcePages } from "../../src/control/host_pages.ts";
import type { PostcopyGuest } from "../../src/control/incoming_target.ts";
import { StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Presence } from "../../src/machine/presence.ts";
import { FaultThread } from "../../src/postcopy/fault_thread.ts";
import { KINDS } from "../postcopy/fixtures/missing.ts";
import { connectedSpecs } from "../ram/fixtures/channels.ts";
import { ReturnPathReader } from "../postcopy/fixtures/return_path_reader.ts";

const BLOCKS = [{ name: "ram", length: 16 * 4096 }];

async function withThread(
  run: (faults: FaultThread, source: ReturnPathReader) => Promise<void>,
): Promise<void> {
  const { from, to } = await connectedSpecs();
  using source = new ReturnPathReader(to);
  const faults = await FaultThread.start({ channel: from, onLost() {}, onFailure() {} });
  try {
    await run(faults, source);
  } finally {
    await faults[Symbol.asyncDispose]();
  }
}

/** Who asks, and is told whether to. */
function guestOf(presence: Presence): { guest: PostcopyGuest; told: boolean[] } {
  const told: boolean[] = [];
  const askForPages = (on: boolean) => Promise.resolve(void told.push(on));
  return { guest: { presence, askForPages, run: () => Promise.resolve(true) }, told };
}

for (const kind of KINDS) {
  Deno.test(`ArrivingPages are asked for until they are all there (${kind})`, () =>
    withThread(async (faults, source) => {
      const ram = GuestRam.create(BLOCKS);
      const presence = Presence.create(1);
      const { guest, told } = guestOf(presence);
      using pages = new ArrivingPages({ ram, guest, faults, wantedFaults: kind });
      assertEquals(pages.layout?.userfaultfd === undefined, kind === "checks");
      await pages.watch();
      // Somebody who has no time gives up, and has asked all the same.
      if (kind === "checks") presence.waitFor(0, ram.blocks[0]!, 3, () => true);
      assertEquals(told, kind === "checks" ? [true] : []);
      await faults.send({ type: "PONG", value: 1 });
      assertEquals(await source.next(), "PONG 1");
      ram.blocks[0]!.received.fill(0, 16, true);
      await pages.allHere();
      assertEquals(told, kind === "checks" ? [true, false] : []);
      assertEquals(pages.info(false), { "postcopy-faults": pages.info(false)["postcopy-faults"]! });
      assert(pages.info(false)["postcopy-faults"]!.startsWith(kind));
      assertEquals(pages.info(true)["postcopy-vcpu-blocktime"], [0]);
    }));
}

Deno.test("ArrivingPages of a machine that is kept are missed by nobody", () =>
  withThread(async (faults) => {
    const ram = GuestRam.create(BLOCKS);
    using pages = new ArrivingPages({ ram, guest: undefined, faults, wantedFaults: undefined });
    await pages.watch();
    assertEquals([pages.layout, pages.info(false)], [undefined, {}]);
    await pages.allHere();
  }));

Deno.test("ArrivingPages refuse pages of the source's host that are there in parts", () =>
  withThread((faults) => {
    const ram = withSourcePages(GuestRam.create(BLOCKS), BLOCKS, 16384);
    ram.blocks[0]!.received.add(5);
    const make = () =>
      new ArrivingPages({ ram, guest: undefined, faults, wantedFaults: undefined });
    assertThrows(make, StreamFormatError, '1 pages of RAM block "ram" are parts of pages of 16384');
    return Promise.resolve();
  }));
