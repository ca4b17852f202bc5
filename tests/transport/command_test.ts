import { assertEquals, assertRejects } from "@std/assert";
import { CancelledError, TransportError } from "../../src/errors.ts";
import type { Command } from "../../src/transport/command.ts";
import { startCommand } from "../../src/transport/command.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { shellUri } from "../../src/transport/uri.ts";
import { readAll, temporaryDirectory } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

function channelOf({ fd }: Command, direction: "read" | "write") {
  return openChannel({ kind: "descriptor", fd, peer: "the command", direction, transport: "pipe" });
}

Deno.test("startCommand() writes a command's standard input, and shutdown() is its end", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/out`;
  const command = await startCommand(shellUri(`cat > ${path}`), "write", {});
  const channel = channelOf(command, "write");
  const bytes = pattern(3 << 20);
  await channel.writeGather([bytes.subarray(0, 100), bytes.subarray(100)]);
  await channel.shutdown();
  assertEquals(await command.ended, undefined);
  assertEquals(patternMismatch(Deno.readFileSync(path)), -1);
  assertEquals(Deno.statSync(path).size, bytes.length);
  channel.close();
});

Deno.test("startCommand() reads a command's standard output", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/in`;
  Deno.writeFileSync(path, pattern(3 << 20));
  const command = await startCommand({ kind: "exec", args: ["cat", path] }, "read", {});
  const channel = channelOf(command, "read");
  const got = await readAll(channel);
  assertEquals([got.length, patternMismatch(got)], [3 << 20, -1]);
  assertEquals(await command.ended, undefined);
  channel.close();
});

Deno.test("startCommand() gives pipes, which programs can open by name", async () => {
  const command = await startCommand(shellUri("cat /dev/stdin > /dev/null"), "write", {});
  const channel = channelOf(command, "write");
  await channel.write(pattern(10));
  channel.close(); // a closed pipe is an end, too
  assertEquals(await command.ended, undefined);
  const back = await startCommand(shellUri("echo here > /dev/stdout"), "read", {});
  const reader = channelOf(back, "read");
  assertEquals(new TextDecoder().decode(await readAll(reader)), "here\n");
  assertEquals(await back.ended, undefined);
  reader.close();
});

Deno.test("startCommand() does not leave what a command says on our standard output", async () => {
  const code = `
    import { startCommand } from ${
    JSON.stringify(import.meta.resolve("../../src/transport/command.ts"))
  };
    const uri = { kind: "exec", args: ["/bin/sh", "-c", "echo said"] };
    const command = await startCommand(uri, "write", {});
    await command.ended;
    Deno.exit();`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", code] })
    .output();
  const text = new TextDecoder();
  assertEquals([text.decode(stdout), text.decode(stderr)], ["", "said\n"]);
});

Deno.test("startCommand() says how a command ended", async () => {
  const failing = await startCommand(shellUri("exit 42"), "read", {});
  assertEquals(await failing.ended, "exit status 42");
  channelOf(failing, "read").close();
  const killed = await startCommand(shellUri("kill -SEGV $$"), "read", {});
  assertEquals(await killed.ended, "ended by SIGSEGV");
  channelOf(killed, "read").close();
});

Deno.test("startCommand() says that a program cannot be started", async () => {
  await assertRejects(
    () => startCommand({ kind: "exec", args: ["/no/such/program", "-x"] }, "write", {}),
    TransportError,
    "Cannot start exec:/no/such/program -x: no such file or directory",
  );
  await assertRejects(
    () => startCommand(shellUri("true"), "read", { signal: AbortSignal.abort() }),
    CancelledError,
  );
});

Deno.test("Command.stop() ends a command, also one that ignores SIGTERM", async () => {
  const sleeping = await startCommand(shellUri("exec sleep 1000"), "read", {});
  await sleeping.stop();
  assertEquals(await sleeping.ended, "ended by SIGTERM");
  channelOf(sleeping, "read").close();

  const stubborn = await startCommand(
    shellUri("trap '' TERM; echo ready; while :; do sleep 0.01; done"),
    "read",
    {},
  );
  const channel = channelOf(stubborn, "read");
  await channel.read(new Uint8Array(100));
  await stubborn.stop();
  assertEquals(await stubborn.ended, "ended by SIGKILL");
  channel.close();
  await stubborn.stop(); // once more does nothing
});
