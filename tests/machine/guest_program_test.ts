import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { GuestError, IncompatibleError, UsageError } from "../../src/errors.ts";
import type { GuestContext } from "../../src/machine/guest.ts";
import { GuestChecks } from "../../src/machine/guest_checks.ts";
import { asGuestError, loadGuestProgram } from "../../src/machine/guest_program.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { guestAt, parseGuestSpec } from "../../src/machine/guest_spec.ts";
import { wasmFile } from "./fixtures/assemble.ts";
import { fixture } from "./fixtures/small_machine.ts";

const PAGE = 4096;

const { port1: port, port2 } = new MessageChannel();
port.close();
port2.close();

/** What a guest is opened with. */
function machineParts() {
  const ram = GuestRam.create([{ name: "heap", length: 4 * PAGE }]);
  const context = {
    ram: { heap: ram.blocks[0]! },
    index: 0,
    vcpus: 1,
    options: {},
    resumed: false,
    port,
    clock: () => 0,
    markWritten: () => {},
    ensurePresent: () => {},
    countPages: () => {},
  } satisfies GuestContext;
  return [ram, new GuestChecks(PAGE), context] as const;
}

/** A module of some text. */
function moduleOf(text: string) {
  return guestAt(new URL(`data:text/javascript,${encodeURIComponent(text)}`));
}

Deno.test("loadGuestProgram() loads built-in guests, reactors and modules; only modules have events", async () => {
  await using reactor = await wasmFile(
    `(module (func (export "step") (result f64) (f64.const 5)))`,
  );
  const guests = [
    [parseGuestSpec("beat,rate=max"), false, 0],
    [parseGuestSpec("stress,rate=max"), false, 0],
    [guestAt(reactor.url), false, 5],
    [guestAt(fixture("counting_guest")), true, undefined],
  ] as const;
  for (const [spec, hasEvents, idle] of guests) {
    const program = await loadGuestProgram(spec);
    assertEquals(program.hasEvents, hasEvents);
    const guest = await program.open(...machineParts());
    assertEquals(await guest.step(), idle);
  }
});

Deno.test("loadGuestProgram() touches no RAM, and opening it twice makes two guests", async () => {
  const program = await loadGuestProgram(parseGuestSpec("beat,rate=max"));
  const parts = machineParts();
  const [one, other] = [await program.open(...parts), await program.open(...parts)];
  assertEquals(parts[0].blocks[0]!.view(0, 4 * PAGE).some(Boolean), false);
  one.step();
  assert(one.save!().toString() !== other.save!().toString());
});

Deno.test("A module's guest may be promised, and is given the context", async () => {
  const program = await loadGuestProgram(
    moduleOf("export default async (context) => ({ step: () => context.index + 40 })"),
  );
  const [ram, checks, context] = machineParts();
  const guest = await program.open(ram, checks, { ...context, index: 2 });
  assertEquals(guest.step(), 42);
});

Deno.test("loadGuestProgram() refuses modules that make no guest", async () => {
  for (const text of ["", "export const step = 1", "export default { step() {} }"]) {
    await assertRejects(
      () => loadGuestProgram(moduleOf(text)),
      GuestError,
      "no function as its default export",
    );
  }
  for (const made of ["undefined", "null", "{}", "{ step: 1 }"]) {
    const program = await loadGuestProgram(moduleOf(`export default () => (${made})`));
    await assertRejects(
      async () => await program.open(...machineParts()),
      GuestError,
      "without a step function",
      made,
    );
  }
});

Deno.test("loadGuestProgram() rejects with what is wrong with the code or its file", async () => {
  await assertRejects(() => loadGuestProgram(moduleOf("throw new RangeError('no')")), RangeError);
  await assertRejects(() => loadGuestProgram(moduleOf("this is no code")), TypeError);
  const missing = new URL("./missing", import.meta.url);
  await assertRejects(() => loadGuestProgram(guestAt(new URL(`${missing}.ts`))), TypeError);
  await assertRejects(
    () => loadGuestProgram(guestAt(new URL(`${missing}.wasm`))),
    Deno.errors.NotFound,
  );
});

Deno.test("loadGuestProgram() says with which status a server refused a reactor", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("Nothing here", { status: 404 }),
  );
  const url = new URL(`http://127.0.0.1:${server.addr.port}/guest.wasm`);
  await assertRejects(() => loadGuestProgram(guestAt(url)), GuestError, "HTTP status 404");
});

Deno.test("asGuestError() names the guest, and keeps what was thrown as the cause", () => {
  for (
    const [thrown, words] of [
      [new RangeError("too far"), "RangeError: too far"],
      ["a text", "a text"],
      [undefined, "undefined"],
    ] as const
  ) {
    const error = asGuestError("Guest room.ts on vCPU 1", "failed", thrown);
    assert(error instanceof GuestError);
    assertEquals(error.message, `Guest room.ts on vCPU 1 failed: ${words}`);
    assertStrictEquals(error.cause, thrown);
  }
});

Deno.test("asGuestError() keeps advice, and the class of what Ferry found out itself", () => {
  const refused = new GuestError("The module has no step", { advice: "Export one" });
  const named = asGuestError("Guest g", "could not start", refused);
  assertEquals(named.message, "Guest g could not start: The module has no step");
  assertEquals(named.advice, "Export one");
  for (const own of [new IncompatibleError("Another guest"), new UsageError("No such option")]) {
    assertStrictEquals(asGuestError("Guest g", "failed", own), own);
  }
});
