import { assertEquals, assertThrows } from "@std/assert";
import { checkSweep } from "./sweep_check.ts";
import { SweepGuest } from "./sweep_guest.ts";

const PAGES = 16;
const guest = new SweepGuest({ size: PAGES * 4096, fill: 100 });

/** Memory of a guest that counts `count`, and one more in the first `passed` pages. */
function memoryAt(count: number, passed: number): Uint8Array {
  const memory = new Uint8Array(guest.size);
  for (let page = 0; page < PAGES; page++) {
    memory[page * 4096] = page < passed ? count + 1 : count;
    memory.set(guest.fillOf(guest.start + page * 4096), page * 4096 + 4);
  }
  return memory;
}

Deno.test("checkSweep() finds where the sweep was, also when the count wraps", () => {
  for (const count of [0, 7, 254, 255]) {
    for (const passed of [1, 5, PAGES - 1]) {
      assertEquals(checkSweep(guest, memoryAt(count, passed)), { count, passed });
    }
  }
});

Deno.test("checkSweep() takes equal counts for the time between two sweeps", () => {
  assertEquals(checkSweep(guest, memoryAt(9, 0)), { count: 9, passed: PAGES });
  assertEquals(checkSweep(guest, memoryAt(8, PAGES)), { count: 9, passed: PAGES });
});

Deno.test("checkSweep() refuses a page of an earlier sweep", () => {
  const memory = memoryAt(9, 5);
  memory[2 * 4096] = 9; // page 2 was passed: it must count 10
  assertThrows(() => checkSweep(guest, memory), Error, "no single instant");
  const late = memoryAt(9, 5);
  late[12 * 4096] = 8;
  assertThrows(() => checkSweep(guest, late), Error, "0x10c000 counts 8, not 9");
});

Deno.test("checkSweep() refuses a page of a later sweep", () => {
  const memory = memoryAt(9, 5);
  memory[12 * 4096] = 10;
  assertThrows(() => checkSweep(guest, memory), Error, "0x10c000 counts 10, not 9");
});

Deno.test("checkSweep() refuses a fill that changed, and bytes that were zero", () => {
  const memory = memoryAt(9, 5);
  memory[3 * 4096 + 50]! ^= 1;
  assertThrows(() => checkSweep(guest, memory), Error, "0x103032 is");
  const beyond = memoryAt(9, 5);
  beyond[3 * 4096 + 4095] = 1;
  assertThrows(() => checkSweep(guest, beyond), Error, "0x103fff is 1, not 0");
});

Deno.test("checkSweep() names some bad pages and counts the others", () => {
  const memory = memoryAt(9, 16);
  for (let page = 0; page < PAGES; page += 2) memory[page * 4096 + 1] = 77;
  assertThrows(() => checkSweep(guest, memory), Error, "and 3 more");
});

Deno.test("checkSweep() refuses a copy of another size", () => {
  assertThrows(() => checkSweep(guest, new Uint8Array(4096)), Error, "the copy 4096");
});
