import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { GuestError, IncompatibleError } from "../../src/errors.ts";
import type { Guest, GuestContext } from "../../src/machine/guest.ts";
import { GuestChecks } from "../../src/machine/guest_checks.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Machine } from "../../src/machine/machine.ts";
import { WasmProgram } from "../../src/machine/wasm_guest.ts";
import { assemble, wasmFile } from "./fixtures/assemble.ts";
import { until } from "./fixtures/until.ts";

const PAGE = 4096;

/**
 * Counts its steps in RAM and in globals of every type, and has everything that would put RAM back to
 * the beginning: data, a start function and `_initialize()`. Word 0 counts these.
 */
const COUNTER = `(module
  (import "env" "memory" (memory 1 65536 shared))
  (import "ferry" "mark" (func $mark (param i32 i32)))
  (import "ferry" "ensure" (func $ensure (param i32 i32)))
  (import "ferry" "index" (func $index (result i32)))
  (import "ferry" "vcpus" (func $vcpus (result i32)))
  (global (export "constant") i32 (i32.const 5))
  (global $a (export "a") (mut i32) (i32.const 0))
  (global $b (export "b") (mut i64) (i64.const -9000000000))
  (global $c (export "c") (mut f32) (f32.const 0.5))
  (global $d (export "d") (mut f64) (f64.const 0.1))
  (data (i32.const 8192) "fresh")
  (func $begin (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))))
  (start $begin)
  (func (export "_initialize") (call $begin))
  (func (export "step") (result f64)
    (local $at i32)
    (local.set $at (i32.mul (i32.add (call $index) (i32.const 1)) (i32.const 4)))
    (call $ensure (local.get $at) (i32.const 4))
    (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
    (i32.store8 (i32.const 8192) (i32.const 70))
    (i32.store (i32.const 32) (call $vcpus))
    (call $mark (local.get $at) (i32.const 4))
    (global.set $a (i32.add (global.get $a) (i32.const 1)))
    (global.set $b (i64.add (global.get $b) (i64.const 1)))
    (global.set $c (f32.add (global.get $c) (f32.const 1)))
    (global.set $d (f64.add (global.get $d) (f64.const 1)))
    (f64.const 0.01)))`;

async function open(wat: string, context: Partial<GuestContext> = {}): Promise<Guest> {
  const program = await WasmProgram.compile(await assemble(wat));
  const ram = GuestRam.create([{ name: "heap", length: 4 * PAGE }]);
  return program.open(
    ram,
    new GuestChecks(PAGE),
    { index: 0, vcpus: 1, resumed: false, ...context } as GuestContext,
  );
}

Deno.test("A reactor goes on in another machine: its globals are there, its RAM is not begun again", async () => {
  await using file = await wasmFile(COUNTER);
  const create = () =>
    Machine.create({ name: "wasm", ram: { heap: 4 * PAGE }, vcpus: [file.url, file.url] });
  await using source = await create();
  await using target = await create();
  const [from, to] = [source, target].map(({ ram }) => ram.blocks[0]!.view(0, 4 * PAGE));
  const word = (bytes: Uint8Array, at: number) => new Uint32Array(bytes.buffer)[at];

  await source.start();
  await until(() => source.vcpus.every((vcpu) => vcpu.counters.steps > 50));
  await source.stop();
  assertEquals(word(from!, 0), 2, "start function and _initialize ran once for both vCPUs");
  assertEquals(word(from!, 8), 2);
  const steps = source.vcpus.map((vcpu) => vcpu.counters.steps);
  assertEquals([word(from!, 1), word(from!, 2)], steps);

  to!.set(from!);
  await Promise.all(source.vcpus.map((vcpu, i) => target.vcpus[i]!.load(vcpu.state())));
  assertEquals(to, from, "instantiating touched nothing");
  assertEquals(target.vcpus.map((vcpu) => vcpu.state()), source.vcpus.map((vcpu) => vcpu.state()));
  await target.start();
  await until(() => target.vcpus.every((vcpu) => vcpu.counters.steps > 50));
  await target.stop();
  const after = target.vcpus.map((vcpu, i) => vcpu.counters.steps + steps[i]!);
  assertEquals([word(to!, 0), word(to!, 1), word(to!, 2)], [2, ...after]);
  assertEquals(new TextDecoder().decode(to!.slice(8192, 8197)), "Fresh");
});

Deno.test("WasmProgram saves and loads globals of every number type", async () => {
  const [one, other] = [await open(COUNTER), await open(COUNTER)];
  for (let i = 0; i < 3; i++) one.step();
  assertEquals(one.step(), 0.01);
  other.load!(one.save!());
  assertEquals(other.save!(), one.save!());
});

Deno.test("WasmProgram.open() marks all RAM that beginning may have written", async () => {
  const program = await WasmProgram.compile(await assemble(COUNTER));
  for (const [index, resumed, marked] of [[0, false, 4], [1, false, 0], [0, true, 0]] as const) {
    const ram = GuestRam.create([{ name: "heap", length: 4 * PAGE }]);
    const checks = new GuestChecks(PAGE);
    checks.marks = true;
    const guest = program.open(ram, checks, { index, vcpus: 2, resumed } as GuestContext);
    assertEquals(ram.blocks[0]!.barrier.count(), marked);
    ram.blocks[0]!.barrier.fill(0, 4, false);
    guest.step();
    assertEquals(ram.blocks[0]!.barrier.count(), 1);
  }
});

Deno.test("A reactor's load() refuses the state of another program, and any cut", async () => {
  const guest = await open(COUNTER);
  const state = guest.save!();
  const step = `(func (export "step"))`;
  const others = [
    `(module ${step})`,
    `(module (global (export "a") (mut i32) (i32.const 0)) ${step})`,
    `(module ${
      ["a", "b", "c", "e"].map((name) => `(global (export "${name}") (mut i32) (i32.const 0))`)
    } ${step})`.replaceAll(",", " "),
    `(module ${
      ["a", "b", "c", "d"].map((name) => `(global (export "${name}") (mut i32) (i32.const 0))`)
    } ${step})`.replaceAll(",", " "),
  ];
  for (const other of others) {
    const otherState = (await open(other)).save!();
    assertThrows(() => guest.load!(otherState), IncompatibleError);
  }
  for (let length = 0; length < state.length; length++) {
    assertThrows(() => guest.load!(state.slice(0, length)), IncompatibleError);
  }
  assertEquals(guest.save!(), state);
});

Deno.test("WasmProgram refuses modules that cannot run or whose state could not travel", async () => {
  const step = `(func (export "step"))`;
  const refusals = [
    [`(module (import "wasi" "exit" (func)) ${step})`, "imports wasi.exit"],
    [`(module)`, "exports no function step"],
    [`(module (global (export "step") i32 (i32.const 1)))`, "exports no function step"],
    [`(module (memory 1) ${step})`, "memory of its own"],
    [
      `(module (global (export "g") (mut externref) (ref.null extern)) ${step})`,
      "global g cannot travel",
    ],
  ] as const;
  for (const [wat, words] of refusals) {
    await assertRejects(() => open(wat), GuestError, words);
  }
});

Deno.test("A reactor that traps, or wants another memory, ends with a GuestError", async () => {
  for (
    const [wat, words] of [
      [`(module (func (export "step") unreachable))`, "failed: RuntimeError: unreachable"],
      [
        `(module (import "env" "memory" (memory 1)) (func (export "step")))`,
        "could not start: WebAssembly.Instance(): Import #0",
      ],
    ] as const
  ) {
    await using file = await wasmFile(wat);
    await using machine = await Machine.create({
      name: "wasm",
      ram: { heap: 4 * PAGE },
      vcpus: [file.url],
    });
    const starting = machine.start().catch(() => {});
    await assertRejects(
      () => machine.failed,
      GuestError,
      `Guest guest.wasm on vCPU 0 ${words}`,
    );
    await starting;
  }
});
