import { assertEquals, assertThrows } from "@std/assert";
import { IncompatibleError } from "../../src/errors.ts";
import { decodeVcpuState, encodeVcpuState } from "../../src/machine/vcpu_state.ts";

Deno.test("decodeVcpuState() tells a guest that saved nothing from one that never began", () => {
  assertEquals(decodeVcpuState(encodeVcpuState(undefined)), undefined);
  assertEquals(decodeVcpuState(encodeVcpuState(new Uint8Array())), new Uint8Array());
  assertEquals(decodeVcpuState(encodeVcpuState(Uint8Array.of(0, 1))), Uint8Array.of(0, 1));
});

Deno.test("decodeVcpuState() refuses anything else", () => {
  for (const bytes of [[], [0, 0], [2], [255, 1]]) {
    assertThrows(() => decodeVcpuState(Uint8Array.from(bytes)), IncompatibleError);
  }
});
