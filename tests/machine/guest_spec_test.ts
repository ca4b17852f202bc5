import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { guestAt, guestName, parseGuestSpec } from "../../src/machine/guest_spec.ts";

Deno.test("parseGuestSpec() knows the built-in guests and their defaults", () => {
  assertEquals(parseGuestSpec("beat"), { kind: "beat", rate: 128 * 1024 ** 2 });
  assertEquals(parseGuestSpec("beat,rate=max"), { kind: "beat", rate: Infinity });
  assertEquals(parseGuestSpec("stress"), {
    kind: "stress",
    rate: 128 * 1024 ** 2,
    zero: 30,
    text: 40,
    random: 30,
    seed: 1,
    fill: true,
    order: "scattered",
    write: "page",
  });
  assertEquals(
    parseGuestSpec(
      "stress,rate=2.5M,zero=10,text=0,random=90,seed=7,fill=off,order=sequential,write=word",
    ),
    {
      kind: "stress",
      rate: 2.5 * 1024 ** 2,
      zero: 10,
      text: 0,
      random: 90,
      seed: 7,
      fill: false,
      order: "sequential",
      write: "word",
    },
  );
});

Deno.test("parseGuestSpec() takes paths and file: URLs of reactors and modules", () => {
  const wasm = parseGuestSpec("/srv/a b.wasm");
  assertEquals(wasm, { kind: "wasm", url: "file:///srv/a%20b.wasm", options: {} });
  assertEquals(guestName(wasm), "a b.wasm");
  const module = parseGuestSpec("file:///srv/room.ts,map=a=b,size=3");
  assertEquals(module, {
    kind: "module",
    url: "file:///srv/room.ts",
    options: { map: "a=b", size: "3" },
  });
  const relative = parseGuestSpec("./guests/room.mjs");
  assertEquals("url" in relative && relative.url.endsWith("/guests/room.mjs"), true);
  assertEquals(guestName(guestAt(new URL("data:text/javascript,export default 1"))), "data:");
});

Deno.test("parseGuestSpec() refuses what it does not know, and says what it does", () => {
  const refusals = [
    ["", 'Guest "" is not known'],
    ["bash", 'Guest "bash" is not known'],
    ["beat,rate", 'Option "rate" of guest beat is not key=value'],
    ["beat,=1", 'Option "=1" of guest beat is not key=value'],
    ["beat,rate=1,rate=2", "Option rate of guest beat is given twice"],
    ["beat,speed=1", "Guest beat has no option speed"],
    ["beat,rate=fast", 'Rate "fast" is not a size'],
    ["beat,rate=0", "Rate 0 is no rate"],
    ["beat,rate=-5M", 'Rate "-5M" is not a size'],
    ["stress,zero=30", "zero=30, text=0, random=0 are 30 of 100 pages"],
    ["stress,zero=50,text=50,random=1", "zero=50, text=50, random=1 are 101 of 100 pages"],
    ["stress,zero=101", "zero=101 is not a whole number up to 100"],
    ["stress,seed=1.5", "seed=1.5 is not a whole number"],
    ["stress,seed=1e3", "seed=1e3 is not a whole number"],
    ["stress,fill=yes", "fill=yes is none of on, off"],
    ["stress,order=random", "order=random is none of scattered, sequential"],
  ] as const;
  for (const [text, words] of refusals) {
    const error = assertThrows(() => parseGuestSpec(text), UsageError);
    assertStringIncludes(error.message, words);
  }
  const error = assertThrows(() => parseGuestSpec("stress,speed=1"), UsageError);
  assertStringIncludes(error.advice ?? "", "rate, zero, text, random, seed, fill, order, write");
});
