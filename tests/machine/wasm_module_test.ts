import { assertEquals, assertThrows } from "@std/assert";
import { GuestError } from "../../src/errors.ts";
import { withoutInitializers } from "../../src/machine/wasm_module.ts";
import { assemble } from "./fixtures/assemble.ts";

const GUEST = `(module
  (import "env" "memory" (memory 1 65536 shared))
  (import "env" "base" (global $base i32))
  (global $runs (export "runs") (mut i32) (i32.const 0))
  (data (i32.const 16) "at sixteen")
  (data $later "on demand")
  (data (global.get $base) "at base")
  (func $start (global.set $runs (i32.add (global.get $runs) (i32.const 1))))
  (start $start)
  (func (export "step") (memory.init $later (i32.const 64) (i32.const 0) (i32.const 9))))`;

function instantiate(bytes: Uint8Array<ArrayBuffer>) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: { memory, base: 128 },
  });
  const at = (offset: number, length: number) =>
    new TextDecoder().decode(new Uint8Array(memory.buffer).slice(offset, offset + length));
  return { exports, at, runs: () => (exports.runs as WebAssembly.Global).value };
}

Deno.test("withoutInitializers() leaves memory alone and starts nothing, but keeps data on demand", async () => {
  const bytes = await assemble(GUEST);
  const before = instantiate(bytes);
  assertEquals([before.at(16, 10), before.at(128, 7), before.runs()], ["at sixteen", "at base", 1]);

  const after = instantiate(withoutInitializers(bytes));
  const nothing = "\0".repeat(7);
  assertEquals([after.at(16, 7), after.at(128, 7), after.runs()], [nothing, nothing, 0]);
  (after.exports.step as () => void)();
  assertEquals(after.at(64, 9), "on demand");
});

Deno.test("withoutInitializers() changes nothing in a module without any", async () => {
  const bytes = await assemble(`(module (func (export "step")))`);
  assertEquals(withoutInitializers(bytes), bytes);
});

Deno.test("withoutInitializers() keeps data of more than 127 bytes and addresses of any size", async () => {
  const text = "x".repeat(70_000);
  const bytes = await assemble(`(module
    (import "env" "memory" (memory 2 65536 shared)) (import "env" "base" (global i32))
    (data (i32.const -2147483648) "far") (data $text "${text}")
    (global (export "runs") (mut i32) (i32.const 0))
    (func (export "step") (memory.init $text (i32.const 0) (i32.const 0) (i32.const 70000))))`);
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
  const { exports } = new WebAssembly.Instance(
    new WebAssembly.Module(withoutInitializers(bytes)),
    { env: { memory, base: 0 } },
  );
  (exports.step as () => void)();
  assertEquals(new TextDecoder().decode(new Uint8Array(memory.buffer).slice(0, 70_000)), text);
});

Deno.test("withoutInitializers() refuses a module with a memory of its own", async () => {
  const bytes = await assemble(`(module (memory 1) (func (export "step")))`);
  assertThrows(() => withoutInitializers(bytes), GuestError, "memory of its own");
});

Deno.test("withoutInitializers() refuses a module that is cut off", async () => {
  const bytes = await assemble(GUEST);
  let refused = 0;
  for (let length = 9; length < bytes.length; length++) {
    try {
      withoutInitializers(bytes.subarray(0, length));
    } catch (error) {
      if (!(error instanceof GuestError)) throw error;
      refused++;
    }
  }
  // Only a cut between two sections is not seen here; the engine has seen the whole module.
  assertEquals(refused >= bytes.length - 9 - 8, true);
});
