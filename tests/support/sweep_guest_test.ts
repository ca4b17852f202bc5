import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { SweepGuest } from "./sweep_guest.ts";

Deno.test("SweepGuest.image() gives a floppy whose first sector can be booted", () => {
  const image = new SweepGuest().image("floppy");
  assertEquals(image.length, 1440 * 1024);
  assertEquals([...image.subarray(510, 512)], [0x55, 0xaa]);
  assertEquals(image.subarray(512).findIndex((byte) => byte !== 0), -1);
});

Deno.test("SweepGuest.image() gives firmware that begins at the reset vector", () => {
  const image = new SweepGuest().image("firmware");
  assertEquals(image.length, 64 * 1024);
  assertEquals(image.subarray(0xfff0, 0xfff5).toHex(), "ea000000f0"); // jmp 0xf000:0
});

Deno.test("SweepGuest.fillOf() differs from page to page and from seed to seed", () => {
  const guest = new SweepGuest({ fill: 64, seed: 1 });
  const page = guest.fillOf(0x100000);
  assertEquals(page.length, 64);
  assertEquals(guest.fillOf(0x100000), page);
  assertNotEquals(guest.fillOf(0x101000), page);
  assertNotEquals(new SweepGuest({ fill: 64, seed: 2 }).fillOf(0x100000), page);
});

Deno.test("SweepGuest refuses a range or a fill that does not fit", () => {
  assertThrows(() => new SweepGuest({ size: 4097 }), RangeError, "not whole strides");
  assertThrows(() => new SweepGuest({ size: 0 }), RangeError, "not whole strides");
  assertThrows(() => new SweepGuest({ fill: 3 }), RangeError, "even");
  assertThrows(() => new SweepGuest({ fill: 4094 }), RangeError, "fit in a stride");
});
