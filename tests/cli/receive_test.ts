/**
 * `receive`: what it does with a machine and without one.
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Ferry } from "../support/run_ferry.ts";

Deno.test("receive --save keeps a machine that send --from gives to somebody else, and stays as it is", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const image = `${folder}/machine.img`;
    await using keeper = new Ferry(["receive", `unix:${folder}/keep`, "--save", image]);
    const uri = await keeper.listening();
    await using source = new Ferry(["send", uri, "--guest", "beat", "--ram", "8M"]);
    await Promise.all([source.succeeded(), keeper.succeeded()]);
    assertStringIncludes(keeper.stderr, `saved as ${image}`);
    const saved = await Deno.readFile(image);

    const args = ["receive", `unix:${folder}/run`, "--guest", "beat", "--run", "10ms"];
    await using runner = new Ferry(args);
    await using giver = new Ferry(["send", await runner.listening(), "--from", image]);
    await Promise.all([giver.succeeded(), runner.succeeded()]);
    assertEquals(await Deno.readFile(image), saved);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["machine.img"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("receive leaves no image behind when the source is gone in the middle", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using keeper = new Ferry(["receive", "tcp:127.0.0.1:0", "--save", `${folder}/half`]);
    const args = ["--guest", "beat", "--ram", "8M", "-p", "max-bandwidth=1M"];
    await using source = new Ferry(["send", await keeper.listening(), ...args]);
    await source.waitForStatus("active");
    source.kill("SIGKILL");
    const { code, result, stderr } = await keeper.finished();
    assertEquals([code, result?.["status"]], [1, "failed"]);
    assertStringIncludes(stderr, "Not received: the machine is the source's");
    assertEquals([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("receive: Ctrl-C while it waits ends it with status 130", async () => {
  await using ferry = new Ferry(["receive", "tcp:127.0.0.1:0", "--discard"]);
  await ferry.listening();
  ferry.kill("SIGINT");
  const { code } = await ferry.finished();
  assertEquals(code, 130);
});

Deno.test("receive refuses what is no stream with one message, and status 1", async () => {
  await using ferry = new Ferry(["receive", "tcp:127.0.0.1:0", "--discard"]);
  const [, hostname = "", port] = /tcp:(.*):(\d+)/.exec(await ferry.listening()) ?? [];
  using conn = await Deno.connect({ hostname, port: Number(port) });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  const { code, stderr } = await ferry.finished();
  assertEquals(code, 1);
  assertEquals(stderr.split("\n").filter((line) => line.startsWith("ferry: ")).length, 1);
  assertStringIncludes(stderr, "at offset 0x");
});
