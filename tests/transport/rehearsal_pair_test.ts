import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { libc } from "../../src/os/libc.ts";
import type { Channel } from "../../src/transport/channel.ts";
import { readToEnd, withRehearsalPair } from "../../src/transport/rehearsal_pair.ts";
import "../support/load_libc.ts";

const ignore = libc() === undefined;

Deno.test({
  name: "withRehearsalPair() gives two ends of a connection, and closes them",
  ignore,
  async fn() {
    let kept: Channel | undefined;
    await withRehearsalPair(async (here, there) => {
      kept = here;
      const reading = readToEnd(there);
      await here.writeGather([new Uint8Array(3 << 20), new Uint8Array(5)]);
      await here.shutdown();
      await reading;
    });
    await assertRejects(() => kept!.read(new Uint8Array(1)), ConnectionLostError);
  },
});

Deno.test({
  name: "withRehearsalPair() closes both ends when what is rehearsed fails",
  ignore,
  async fn() {
    const ends: Channel[] = [];
    await assertRejects(() =>
      withRehearsalPair((...pair) => {
        ends.push(...pair);
        return Promise.reject(new RangeError("no"));
      }), RangeError);
    assertEquals(ends.length, 2);
    for (const end of ends) await assertRejects(() => end.write(new Uint8Array(1)));
  },
});
