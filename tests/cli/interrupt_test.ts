import { assertEquals } from "@std/assert";

/** Runs a program that interrupts itself; the test runner takes signals for its own. */
async function run(code: string) {
  const url = new URL("../../src/cli/interrupt.ts", import.meta.url).href;
  const program = `import { Interrupt } from "${url}"; ${code}`;
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-lock", "--allow-run"],
      `data:text/typescript,${encodeURIComponent(program)}`,
    ],
  });
  const { code: status, stdout } = await command.output();
  return [status, new TextDecoder().decode(stdout)];
}

Deno.test("Interrupt calls its action for the first signal and then leaves signals to Deno", async () => {
  assertEquals(
    await run(`
      {
        using interrupt = new Interrupt(() => console.log("action"));
        console.log(interrupt.isInterrupted);
        Deno.kill(Deno.pid, "SIGINT");
        await interrupt.happened;
        console.log(interrupt.isInterrupted);
      }
      using next = new Interrupt();
      console.log(next.isInterrupted);
    `),
    [0, "false\naction\ntrue\nfalse\n"],
  );
});

Deno.test("Interrupt ends the program at the second signal", async () => {
  const [status] = await run(`
    using interrupt = new Interrupt();
    setInterval(() => {}, 1000);
    Deno.kill(Deno.pid, "SIGINT");
    await interrupt.happened;
    Deno.kill(Deno.pid, "SIGTERM");
    await new Promise(() => {});
  `);
  assertEquals(status, 130);
});
