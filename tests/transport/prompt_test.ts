import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { libcProblem } from "../../src/os/libc.ts";
import {
  isPrompt,
  type PromptChannel,
  readPromptly,
  writePromptly,
} from "../../src/transport/prompt.ts";
import { SocketChannel } from "../../src/transport/socket_channel.ts";
import { connectedChannels, connectedEndpoints, readAll } from "./connected.ts";
import { pattern } from "./pattern.ts";

const ignore = libcProblem() !== undefined;
const NONE = new Uint8Array(0);

async function connected(): Promise<[PromptChannel, PromptChannel]> {
  const [ours, peers] = await connectedChannels();
  assert(isPrompt(ours) && isPrompt(peers));
  return [ours, peers];
}

Deno.test({
  name: "readPromptly() reads all until the end, which is left to read()",
  ignore,
  async fn() {
    const [ours, peers] = await connected();
    const target = new Uint8Array(1000);
    let end = 0;
    const reading = readPromptly(ours, () => target.subarray(end), (count) => void (end += count));
    for (let at = 0; at < 700; at += 70) {
      await peers.write(pattern(1000).subarray(at, at + 70));
      while (end < at + 70) await new Promise((resolve) => setImmediate(resolve));
    }
    await peers.shutdown();
    await reading;
    assertEquals(target.subarray(0, end), pattern(700));
    assertEquals(await ours.read(target), 0);
    ours.close();
    peers.close();
  },
});

Deno.test({
  name: "readPromptly() lets the event loop turn while bytes come all the time",
  ignore,
  async fn() {
    const [ours, peers] = await connected();
    let ended = false;
    const sending = (async () => {
      while (!ended) await peers.write(new Uint8Array(1 << 16));
    })();
    const target = new Uint8Array(64);
    const timer = setTimeout(() => ended = true);
    await readPromptly(ours, () => ended ? NONE : target, () => {});
    clearTimeout(timer);
    ours.close();
    await sending.catch(() => {});
    peers.close();
  },
});

Deno.test({
  name: "readPromptly() stops when there is no room, and what else has come stays",
  ignore,
  async fn() {
    const [ours, peers] = await connected();
    await peers.write(pattern(10));
    const target = new Uint8Array(4);
    let left = 1;
    await readPromptly(ours, () => left-- > 0 ? target : NONE, () => {});
    assertEquals(target, pattern(10).subarray(0, 4));
    assertEquals(await readAll(ours, 6), pattern(10).subarray(4));
    ours.close();
    peers.close();
  },
});

Deno.test({
  name:
    "A prompt read leaves to read() what came before the hand-off, and a connection that is closed",
  ignore,
  async fn() {
    const [ours, peers] = await connectedEndpoints();
    const spec = ours.handOff();
    assert(spec.kind === "descriptor");
    const channel = new SocketChannel({ ...spec, head: pattern(3) });
    const into = new Uint8Array(8);
    assertEquals(channel.readNow(into, 0), undefined);
    assertEquals(await channel.read(into), 3);
    assertEquals(channel.readNow(into, 0), 0);
    channel.close();
    assertEquals(channel.readNow(into, 0), undefined);
    assertEquals(channel.writeNow(into, 0), 0);
    peers.close();
  },
});

Deno.test({
  name: "writePromptly() is done at once with what the kernel takes at once",
  ignore,
  async fn() {
    const [ours, peers] = await connected();
    assertEquals(writePromptly(ours, pattern(5000)), undefined);
    assertEquals(await readAll(peers, 5000), pattern(5000));
    ours.close();
    peers.close();
  },
});

Deno.test({
  name: "writePromptly() writes all, more than the kernel takes at once too",
  async fn() {
    const [ours, peers] = await connectedChannels();
    const bytes = pattern(32 * 1024 ** 2);
    const reading = readAll(peers, bytes.length);
    await writePromptly(ours, bytes);
    assertEquals(await reading, bytes);
    ours.close();
    peers.close();
  },
});

Deno.test({
  name: "readPromptly() lets the event loop turn ever less often while nothing comes",
  ignore,
  async fn() {
    const [ours, peers] = await connected();
    let waits = 0;
    let ended = false;
    const target = () => {
      waits++;
      return ended ? NONE : new Uint8Array(8);
    };
    const timer = setTimeout(() => ended = true, 300);
    await readPromptly(ours, target, () => {});
    clearTimeout(timer);
    // 5, 10, and then 20 ms each: without that, about 60.
    assert(waits >= 3 && waits < 40, `${waits} times`);
    ours.close();
    peers.close();
  },
});
