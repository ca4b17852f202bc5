import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { abs16, abs32, littleEndian, rel8, X86Code } from "./x86_code.ts";

Deno.test("X86Code fills in labels before and after their use", () => {
  const code = new X86Code(0x7c00)
    .label("start")
    .row("jmp end", 0xeb, rel8("end"))
    .row("jmp start", 0xeb, rel8("start"))
    .row("offset", abs16("end"))
    .row("address", abs32("start", -8))
    .label("end");
  assertEquals(code.build().toHex(), "eb08" + "ebfc" + "0a7c" + "f87b0000");
});

Deno.test("X86Code refuses labels that are missing, doubled or too far for a short jump", () => {
  assertThrows(
    () => new X86Code(0).row("", rel8("x")).build(),
    RangeError,
    "Label never placed: x",
  );
  assertThrows(() => new X86Code(0).label("x").label("x"), RangeError, "Label placed twice: x");
  const far = new X86Code(0).row("", rel8("x")).padTo(129).label("x");
  assertThrows(() => far.build(), RangeError, "Label too far for a short jump: x, 128 bytes");
  assertEquals(new X86Code(0).row("", rel8("x")).padTo(128).label("x").build()[0], 127);
});

Deno.test("X86Code refuses what is no byte, and code that is longer than its place", () => {
  assertThrows(() => new X86Code(0).row("bad", 256), RangeError, 'Not a byte in "bad": 256');
  assertThrows(() => new X86Code(0).row("", 1, 2, 3).padTo(2), RangeError, "3 bytes long");
});

Deno.test("X86Code.listing shows address, bytes and text", () => {
  const { listing } = new X86Code(0x7c00).label("here").row("jmp here", 0xeb, rel8("here"));
  assertStringIncludes(listing, "here:\n00007c00  ebfe");
  assertStringIncludes(listing, "jmp here");
});

Deno.test("littleEndian() begins with the lowest byte", () => {
  assertEquals(littleEndian(0x12345678, 4), [0x78, 0x56, 0x34, 0x12]);
  assertEquals(littleEndian(0xfee000f0, 4), [0xf0, 0x00, 0xe0, 0xfe]);
  assertEquals(littleEndian(0x12345678, 2), [0x78, 0x56]);
});
