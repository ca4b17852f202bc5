import { assert, assertEquals, assertThrows } from "@std/assert";
import { IncompatibleError, StateError } from "../../../src/errors.ts";
import { GuestChecks } from "../../../src/machine/guest_checks.ts";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { parseGuestSpec } from "../../../src/machine/guest_spec.ts";
import { PagedGuest, type PagedSpec } from "../../../src/machine/guests/paged_guest.ts";
import { encodeVcpuState } from "../../../src/machine/vcpu_state.ts";
import {
  describeWrongPage,
  findWrongPage,
  type WrongPage,
} from "../../../src/machine/verify/find_wrong_page.ts";

const PAGE = 4096;
const PAGES = 500;

/** RAM of a guest after some steps, its state then, and views of its pages. */
function machineOf(text: string, steps: number) {
  const guest = parseGuestSpec(text) as PagedSpec;
  const ram = GuestRam.create([{ name: "heap", length: PAGES * PAGE }]);
  const checks = new GuestChecks(PAGE);
  const paged = new PagedGuest(guest, ram, checks, {
    index: 0,
    vcpus: 1,
    clock: () => 0,
    countPages: () => {},
  });
  const run = (count: number) => {
    for (let step = 0; step < count; step++) paged.step();
  };
  run(steps);
  const page = (number: number) => ram.blocks[0]!.view(number * PAGE, PAGE);
  const find = () => findWrongPage(ram, [{ guest, state: encodeVcpuState(paged.save()) }]);
  return { run, page, find };
}

function wrongPage(page: number, expected: string, found: string): WrongPage {
  return { block: "heap", page, expected, found };
}

// 8 steps of up to 64 pages are one sweep: after 19, the first 192 pages of the third are done.
const BEAT = () => machineOf("beat,rate=max", 19);
const STRESS = () => machineOf("stress,rate=max,order=sequential,zero=0,text=50,random=50", 19);

Deno.test("findWrongPage() finds any one byte that was flipped, and names it", () => {
  for (const { page, find } of [BEAT(), STRESS()]) {
    for (const number of [0, 191, 192, 499]) {
      for (const at of [4, 31, 63, 64, 2000, 4095]) {
        page(number)[at]! ^= 0x10;
        const wrong = find();
        assertEquals([wrong?.block, wrong?.page], ["heap", number]);
        assert(wrong!.found.startsWith(`1 other bytes, the first at ${at}: 0x`), wrong!.found);
        page(number)[at]! ^= 0x10;
        assertEquals(find(), undefined);
      }
    }
  }
});

Deno.test("findWrongPage() tells a page that was not sent again after it was written", () => {
  for (
    const [{ run, page, find }, word] of [
      [machineOf("beat,rate=max", 16), "count"],
      [machineOf("stress,rate=max,order=sequential,zero=0,text=50,random=50", 16), "generation"],
    ] as const
  ) {
    const old = Uint8Array.from(page(70));
    run(3);
    page(70).set(old);
    assertEquals(find(), wrongPage(70, `${word} 3`, `${word} 2`));
  }
});

Deno.test("findWrongPage() tells a page that came too early: written after the state was saved", () => {
  const machine = BEAT();
  machine.page(300)[0] = 3;
  assertEquals(machine.find(), wrongPage(300, "count 2", "count 3"));
});

Deno.test("findWrongPage() tells two pages that were swapped", () => {
  for (
    const [{ page, find }, expected, found] of [
      [BEAT(), "count 3", "page 400 with count 2"],
      [STRESS(), "generation 3", "page 400 of generation 2"],
    ] as const
  ) {
    const [a, b] = [10, 400].map((number) => Uint8Array.from(page(number)));
    page(10).set(b!);
    page(400).set(a!);
    assertEquals(find(), wrongPage(10, expected, found));
  }
});

Deno.test("findWrongPage() tells a page that never arrived", () => {
  for (const [{ page, find }, word] of [[BEAT(), "count"], [STRESS(), "generation"]] as const) {
    page(499).fill(0);
    assertEquals(find(), wrongPage(499, `${word} 2`, "zeros"));
  }
});

Deno.test("findWrongPage() tells half a page of another round", () => {
  const { run, page, find } = machineOf("stress,rate=max,zero=0,random=100", 8);
  const old = Uint8Array.from(page(7));
  run(8);
  page(7).set(old.subarray(0, PAGE / 2));
  const wrong = find();
  assertEquals([wrong?.page, wrong?.expected], [7, "generation 2"]);
  assert(/other bytes, the first at [0-9]:/.test(wrong!.found), wrong!.found);
});

Deno.test("findWrongPage() tells something on a page that must be zeros", () => {
  for (const [text, word] of [["beat,rate=max", "zeros"], ["stress", "generation 0"]] as const) {
    const { page, find } = machineOf(text, 0);
    page(3)[100] = 1;
    const wrong = find()!;
    assertEquals([wrong.page, wrong.expected], [3, word]);
    assertEquals(wrong.found, "1 other bytes, the first at 100: 0x01 for 0x00");
    assertEquals(
      describeWrongPage(wrong),
      `Page 3 of block heap must hold ${word}, but holds ${wrong.found}`,
    );
  }
});

Deno.test("findWrongPage() refuses guests it does not know, and states of others", () => {
  const ram = GuestRam.create([{ name: "heap", length: PAGE }]);
  const program = parseGuestSpec("./room.ts");
  assertThrows(
    () => findWrongPage(ram, [{ guest: program, state: encodeVcpuState(undefined) }]),
    StateError,
    "What guest room.ts makes of RAM is not known",
  );
  const state = encodeVcpuState(new Uint8Array(9));
  assertThrows(
    () => findWrongPage(ram, [{ guest: parseGuestSpec("beat"), state }]),
    IncompatibleError,
  );
});
