import "../support/load_libc.ts";
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { addressOf, hostPageSize, KernelStruct } from "../../src/os/host_memory.ts";
import { libcProblem } from "../../src/os/libc.ts";

const ignore = libcProblem() !== undefined;

Deno.test({
  name: "addressOf() gives each memory an address at the start of a host page",
  ignore,
  fn() {
    const make = () => new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    const [one, two] = [make(), make()];
    assertNotEquals(addressOf(one), addressOf(two));
    assertEquals(addressOf(one)! % hostPageSize(), 0);
  },
});

Deno.test({
  name: "addressOf() gives the same address after the memory has grown",
  ignore,
  fn() {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    const before = addressOf(memory);
    memory.grow(1);
    assertEquals(addressOf(memory), before);
  },
});

Deno.test("addressOf() refuses memory that is not shared or is empty", () => {
  assertThrows(() => addressOf(new WebAssembly.Memory({ initial: 1 })), RangeError);
  const empty = new WebAssembly.Memory({ initial: 0, maximum: 1, shared: true });
  assertThrows(() => addressOf(empty), RangeError);
});

Deno.test("KernelStruct keeps numbers of more than 32 bits", () => {
  const struct = new KernelStruct(6).set(5, 7).fill(0x7fff_ffff_f000, 0xffff_ffff, 1);
  assertEquals([0, 1, 2, 5].map((i) => struct.get(i)), [0x7fff_ffff_f000, 0xffff_ffff, 1, 0]);
  assert(new BigUint64Array(struct.words.buffer)[0] === 0x7fff_ffff_f000n);
});
