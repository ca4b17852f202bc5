/**
 * What the README promises: its commands exist, and its guest is one.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MigratableMachine } from "../../src/control/migratable_machine.ts";
import { USAGE } from "../../src/cli/usage.ts";
import { until } from "../machine/fixtures/until.ts";
import "../support/load_libc.ts";
import { ROOT } from "./sources.ts";

const readme = await Deno.readTextFile(new URL("README.md", ROOT));
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
  .map(([, language = "", text = ""]) => ({ language, text }));

Deno.test("README: every task it names is in deno.json, every option of its commands in --help", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const commands = blocks.filter(({ language }) => language === "sh").map(({ text }) => text)
    .join();
  const named = [...commands.matchAll(/deno task ([\w:]+)/g)].map(([, task = ""]) => task);
  assert(named.includes("migrate") && named.includes("test"));
  assertEquals(named.filter((task) => !(task in tasks)), []);
  const lines = commands.split("\n").filter((line) => line.startsWith("deno task migrate"));
  for (const [option] of lines.join("\n").matchAll(/(?<=\s)--?[a-z][\w-]*/g)) {
    assertStringIncludes(USAGE, option);
  }
});

Deno.test("README: its guest runs, and goes on elsewhere where it was", async () => {
  const guest = blocks.find(({ text }) => text.includes("GuestContext"))?.text;
  assert(guest !== undefined);
  const code = guest.replace("./mod.ts", new URL("mod.ts", ROOT).href);
  const url = new URL(`data:text/typescript,${encodeURIComponent(code)}`);
  const options = { name: "room", ram: { heap: 65536 }, vcpus: [url] };
  await using here = await MigratableMachine.create(options);
  await using there = await MigratableMachine.create(options);
  await here.start();
  const written = (machine: MigratableMachine) =>
    machine.ram.block("heap")!.view(0, 65536).reduce((sum, byte) => sum + byte, 0);
  await until(() => written(here) > 2);
  const incoming = there.incoming("tcp:127.0.0.1:0");
  const { kind, ...address } = await incoming.listening;
  assert(kind === "tcp" && "port" in address);
  await here.migrate(`tcp:127.0.0.1:${address.port}`).completed;
  await incoming.completed;
  const before = written(here);
  await until(() => written(there) > before);
  await there.stop();
  // One byte a tick, each the next one: nothing was lost or done twice.
  const heap = there.ram.block("heap")!.view(0, 65536);
  assertEquals(heap.lastIndexOf(1) + 1, written(there));
});
