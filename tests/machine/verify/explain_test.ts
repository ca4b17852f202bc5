import { assert, assertEquals } from "@std/assert";
import { GuestChecks } from "../../../src/machine/guest_checks.ts";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { parseGuestSpec, type StressSpec } from "../../../src/machine/guest_spec.ts";
import { beatParts } from "../../../src/machine/guests/beat.ts";
import type { Part } from "../../../src/machine/guests/part.ts";
import { stressParts } from "../../../src/machine/guests/stress.ts";
import { explainBeat, explainStress } from "../../../src/machine/verify/explain.ts";

const PAGE = 4096;
const STRESS = parseGuestSpec("stress,random=100,order=sequential") as StressSpec;

/** Two vCPUs' worth of pages, of which the second one's are looked at: 10 to 19 of their block. */
function secondPart(guest: "beat" | "stress", sweeps: number): Part {
  const ram = GuestRam.create([{ name: "heap", length: 20 * PAGE }]);
  const checks = new GuestChecks(PAGE);
  const [part] = guest === "beat"
    ? beatParts(ram, 1, 2, checks)
    : stressParts(ram, 1, 2, checks, STRESS);
  for (let i = 0; i < sweeps; i++) part!.exports.step(10);
  return part!;
}

function pageOf(part: Part, page: number): Uint8Array {
  return part.block.view((part.firstPage + page) * PAGE, PAGE);
}

Deno.test("A page of another round is told by its count or generation, older or newer", () => {
  for (
    const [guest, explain, word] of [
      ["beat", explainBeat, "count"],
      ["stress", explainStress, "generation"],
    ] as const
  ) {
    for (const written of [1, 2, 4, 5]) {
      const part = secondPart(guest, 3);
      pageOf(part, 4).set(pageOf(secondPart(guest, written), 4));
      assertEquals(explain(part, 4, PAGE), {
        expected: `${word} 3`,
        found: `${word} ${written}`,
      });
    }
  }
});

Deno.test("Another page is told by its number in the block", () => {
  const beat = secondPart("beat", 2);
  pageOf(beat, 4).set(pageOf(beat, 7));
  assertEquals(explainBeat(beat, 4, PAGE).found, "page 17 with count 2");

  const stress = secondPart("stress", 2);
  stress.exports.step(6);
  pageOf(stress, 4).set(pageOf(stress, 7));
  assertEquals(explainStress(stress, 4, PAGE), {
    expected: "generation 3",
    found: "page 17 of generation 2",
  });
});

Deno.test("Zeros where something should be are called zeros", () => {
  for (const [guest, explain] of [["beat", explainBeat], ["stress", explainStress]] as const) {
    const part = secondPart(guest, 1);
    pageOf(part, 0).fill(0);
    assertEquals(explain(part, 0, PAGE).found, "zeros");
  }
});

Deno.test("Anything else is told by how much differs, and where it begins", () => {
  for (const [guest, explain] of [["beat", explainBeat], ["stress", explainStress]] as const) {
    const part = secondPart(guest, 1);
    const page = pageOf(part, 9);
    const [right, other] = [page[4095]!, page[4095]! ^ 0x81];
    page[4095] = other;
    page[4000]! ^= 1;
    const { found } = explain(part, 9, PAGE);
    assert(found.startsWith("2 other bytes, the first at 4000: 0x"), found);
    page[4000]! ^= 1;
    const hex = (byte: number) => byte.toString(16).padStart(2, "0");
    assertEquals(
      explain(part, 9, PAGE).found,
      `1 other bytes, the first at 4095: 0x${hex(other)} for 0x${hex(right)}`,
    );
  }
});

Deno.test("Explaining changes no page", () => {
  const part = secondPart("stress", 2);
  pageOf(part, 3)[5]! ^= 1;
  const before = Uint8Array.from(part.block.view(0, part.block.length));
  explainStress(part, 3, PAGE);
  assertEquals(Uint8Array.from(part.block.view(0, part.block.length)), before);
});
