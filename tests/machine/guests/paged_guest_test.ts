import { assert, assertEquals, assertThrows } from "@std/assert";
import { IncompatibleError } from "../../../src/errors.ts";
import { GuestChecks } from "../../../src/machine/guest_checks.ts";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { parseGuestSpec } from "../../../src/machine/guest_spec.ts";
import { PagedGuest, type PagedSpec } from "../../../src/machine/guests/paged_guest.ts";
import { encodeVcpuState } from "../../../src/machine/vcpu_state.ts";
import { findWrongPage } from "../../../src/machine/verify/find_wrong_page.ts";

const PAGE = 4096;

interface Bench {
  readonly ram: GuestRam;
  readonly checks: GuestChecks;
  readonly guests: readonly PagedGuest[];
  /** The vCPUs' clock, in milliseconds. */
  now: number;
  pages: number;
  wrong(): ReturnType<typeof findWrongPage>;
}

/** Guests of one spec on a small RAM of two blocks, without threads. */
function bench(text: string, { vcpus = 1, pages = [50, 7], pageSize = PAGE } = {}): Bench {
  const spec = parseGuestSpec(text) as PagedSpec;
  const ram = GuestRam.create(
    pages.map((count, i) => ({ name: `block${i}`, length: count * pageSize })),
    { pageSize },
  );
  const checks = new GuestChecks(pageSize);
  const guests: PagedGuest[] = [];
  const made: Bench = {
    ram,
    checks,
    guests,
    now: 0,
    pages: 0,
    wrong: () =>
      findWrongPage(
        ram,
        guests.map((guest) => ({ guest: spec, state: encodeVcpuState(guest.save()) })),
      ),
  };
  for (let index = 0; index < vcpus; index++) {
    guests.push(
      new PagedGuest(spec, ram, checks, {
        index,
        vcpus,
        clock: () => made.now,
        countPages: (count) => made.pages += count,
      }),
    );
  }
  return made;
}

const GUESTS = [
  "beat,rate=max",
  "stress,rate=max",
  "stress,rate=max,order=sequential,seed=5",
  "stress,rate=max,write=word",
  "stress,rate=max,zero=100",
  "stress,rate=max,text=100",
];

for (const spec of GUESTS) {
  for (const pageSize of [1024, 4096, 65536]) {
    Deno.test(`PagedGuest writes what findWrongPage() expects: ${spec}, pages of ${pageSize}`, () => {
      const { guests, ram, wrong } = bench(spec, { vcpus: 3, pageSize });
      assertEquals(wrong(), undefined);
      for (let step = 0; step < 20; step++) {
        // Not all of them each time, so that the shares are at different places.
        guests.forEach((guest, i) => step % (i + 1) === 0 && guest.step());
        assertEquals(wrong(), undefined);
      }
      const written = ram.blocks.some((block) => block.view(0, block.length).some(Boolean));
      assertEquals(written, !spec.includes("zero=100"));
    });
  }
}

for (const spec of GUESTS) {
  Deno.test(`PagedGuest marks every page it changes: ${spec}`, () => {
    const { guests: [guest], ram, checks } = bench(spec, { pages: [300, 20] });
    const copyOf = () => ram.blocks.map((block) => Uint8Array.from(block.view(0, block.length)));
    let before = copyOf();
    const changed = () =>
      ram.blocks.flatMap((block, b) =>
        Array.from({ length: block.pageCount }, (_, page) => page)
          .filter((page) =>
            block.view(page * PAGE, PAGE).some((byte, i) => byte !== before[b]![page * PAGE + i])
          )
          .map((page) => ({ block, page }))
      );
    guest!.step();
    assertEquals(ram.blocks.map((block) => block.barrier.count()), [0, 0], "marks are off");
    checks.marks = true;
    for (let step = 0; step < 12; step++) {
      before = copyOf();
      for (const block of ram.blocks) block.barrier.fill(0, block.pageCount, false);
      guest!.step();
      for (const { block, page } of changed()) {
        assert(block.barrier.has(page), `${block.name} ${page}`);
      }
      const marked = ram.blocks.reduce((sum, block) => sum + block.barrier.count(), 0);
      assert(marked > 0 && marked <= 64, `${marked} marked`);
    }
  });
}

Deno.test("PagedGuest asks for every page before it touches it", () => {
  for (const spec of GUESTS) {
    const { guests: [guest], ram, checks } = bench(spec);
    const asked = new Set<string>();
    checks.presence = true;
    checks.waitForPages = (block, offset, length) => {
      for (let at = offset; at < offset + length; at += PAGE) {
        const isUntouched = !block.view(at, PAGE).some(Boolean);
        assert(isUntouched, `${block.name} page ${at / PAGE} was touched too early`);
        asked.add(`${block.name} ${at / PAGE}`);
      }
    };
    guest!.step();
    guest!.step();
    assertEquals(asked.size, ram.length / PAGE);
  }
});

Deno.test("PagedGuest goes on from its state exactly where it was", () => {
  for (const spec of GUESTS) {
    const source = bench(spec, { vcpus: 2 });
    const target = bench(spec, { vcpus: 2 });
    for (let step = 0; step < 7; step++) source.guests.forEach((guest) => guest.step());
    source.ram.blocks.forEach((block, i) =>
      target.ram.blocks[i]!.view(0, block.length).set(block.view(0, block.length))
    );
    source.guests.forEach((guest, i) => target.guests[i]!.load(guest.save()));
    for (let step = 0; step < 7; step++) {
      for (const { guests } of [source, target]) guests.forEach((guest) => guest.step());
    }
    assertEquals(target.wrong(), undefined);
    assertEquals(
      target.guests.map((guest) => guest.save()),
      source.guests.map((guest) => guest.save()),
    );
    target.ram.blocks.forEach((block, i) =>
      assertEquals(
        block.view(0, block.length),
        source.ram.blocks[i]!.view(0, block.length),
      )
    );
  }
});

Deno.test("PagedGuest.load() refuses the state of another guest, seed, vCPU or RAM", () => {
  const { guests: [guest] } = bench("stress,seed=1");
  const others = [
    bench("beat").guests[0],
    bench("stress,seed=2").guests[0],
    bench("stress,write=word").guests[0],
    bench("stress", { vcpus: 2 }).guests[0],
    bench("stress", { pages: [50] }).guests[0],
  ];
  for (const other of others) {
    assertThrows(() => guest!.load(other!.save()), IncompatibleError, "The vCPU's state is one of");
  }
  guest!.load(bench("stress,rate=5,fill=off").guests[0]!.save());
});

Deno.test("PagedGuest.load() refuses a cursor outside its pages, and any cut", () => {
  const { guests: [guest] } = bench("beat");
  const state = guest!.save();
  const hostile = Uint8Array.from(state);
  new DataView(hostile.buffer).setUint32(hostile.length - 4, 7);
  assertThrows(() => guest!.load(hostile), IncompatibleError, "cursor 7 is outside its 7 pages");
  for (let length = 0; length < state.length; length++) {
    assertThrows(() => guest!.load(state.subarray(0, length)), IncompatibleError);
  }
  assertEquals(guest!.save(), state);
});

Deno.test("PagedGuest keeps its rate by the vCPU's clock", () => {
  const made = bench("beat,rate=4M", { pages: [10_000] });
  const [guest] = made.guests;
  const runFor = (milliseconds: number) => {
    for (const end = made.now + milliseconds; made.now < end;) made.now += guest!.step();
  };
  runFor(1000);
  const perSecond = 4 * 1024 ** 2 / PAGE;
  assert(Math.abs(made.pages - perSecond) <= 64, `${made.pages}`);

  // A clock that stood still gives nothing; what was missed by much is not made up for.
  while (guest!.step() === 0);
  const before = made.pages;
  assert(guest!.step() > 0);
  assertEquals(made.pages, before);
  made.now += 10_000;
  while (guest!.step() === 0);
  assert(made.pages - before <= perSecond * 0.1 + 64, `${made.pages - before}`);
});

Deno.test("PagedGuest fills all RAM before its rate applies", () => {
  const made = bench("stress,rate=1", { pages: [200, 100] });
  while (made.guests[0]!.step() === 0);
  assertEquals(made.pages, 301, "one page is due at once");
  assertEquals(made.wrong(), undefined);

  const slow = bench("stress,rate=1,fill=off");
  while (slow.guests[0]!.step() === 0);
  assertEquals(slow.pages, 1);
});

Deno.test("PagedGuest has nothing to do without RAM", () => {
  for (const pages of [[], [0]]) {
    const { guests: [guest], wrong } = bench("beat,rate=max", { pages });
    assert(guest!.step() > 0);
    guest!.load(guest!.save());
    assertEquals(wrong(), undefined);
  }
});

Deno.test("stress writes zeros, text and random pages in the shares it was told", () => {
  const { guests: [guest], ram } = bench("stress,rate=max,zero=20,text=50,random=30", {
    pages: [4000],
  });
  for (let step = 0; step < 63; step++) guest!.step();
  const kinds = { zero: 0, text: 0, random: 0 };
  for (let page = 0; page < 4000; page++) {
    const bytes = ram.blocks[0]!.view(page * PAGE, PAGE);
    if (bytes.every((byte) => byte === 0)) kinds.zero++;
    else if (bytes.every((byte) => byte === 10 || (byte >= 32 && byte < 127))) kinds.text++;
    else kinds.random++;
  }
  for (const [kind, share] of [["zero", 800], ["text", 2000], ["random", 1200]] as const) {
    assert(Math.abs(kinds[kind] - share) < 150, `${kind}: ${kinds[kind]}`);
  }
});
