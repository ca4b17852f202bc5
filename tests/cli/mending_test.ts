/**
 * Postcopies whose connection is lost, and which nobody mends by QMP.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { loadImage } from "../../src/image/load_image.ts";
import { Ferry } from "../support/run_ferry.ts";
import { Tap } from "../support/tap.ts";
import { describeDifference } from "../support/guest_memory.ts";

const POSTCOPY = ["-c", "postcopy-ram"];
/** It takes about two seconds. */
const SLOW = ["--postcopy-after", "0", "-p", "max-postcopy-bandwidth=4M"];

for (const preempt of [false, true]) {
  Deno.test(`A link that is lost twice is mended by both sides themselves (preempt: ${preempt})`, async () => {
    const capabilities = [...POSTCOPY, ...preempt ? ["-c", "postcopy-preempt"] : []];
    const guest = ["--guest", "stress", "--ram", "8M", "--dirty-rate", "1M"];
    await using there = new Ferry([
      ...["receive", "tcp:127.0.0.1:0", ...guest, "--run", "10ms"],
      ...capabilities,
    ]);
    const to = await there.listening();
    await using tap = new Tap({ to, record: false });
    await using here = new Ferry(["send", tap.uri, ...guest, ...capabilities, ...SLOW]);
    for (let times = 0; times < 2; times++) {
      await Promise.all([here, there].map((side) => side.waitForStatus("postcopy-active")));
      tap.cut();
      await Promise.all([here, there].map((side) => side.waitForStatus("postcopy-paused")));
      // Where it was before.
      assertEquals(await there.listening(), to);
      await here.waitForStatus("postcopy-recover");
      await here.waitForStatus("postcopy-paused");
      tap.restore();
    }
    await Promise.all([here.succeeded(), there.succeeded()]);
    assertStringIncludes(here.stderr, `Trying ${tap.uri} every second`);
    assertStringIncludes(here.stderr, `migrate-recover uri=${tap.uri}`);
    assertStringIncludes(here.stderr, "lost if this program ends");
    assertStringIncludes(there.stderr, `Listening on ${to} for the source again`);
    assertStringIncludes(there.stderr, `migrate uri=${to} resume=true`);
    for (const { stderr } of [here, there]) {
      assertEquals(stderr.split("The connection is mended").length, 3, stderr);
    }
  });
}

Deno.test("--recover says where to meet again", async () => {
  const guest = ["--guest", "stress", "--ram", "8M", "--dirty-rate", "1M", ...POSTCOPY];
  const folder = await Deno.makeTempDir();
  try {
    const recover = ["--recover", `unix:${folder}/again`];
    const args = ["receive", "tcp:127.0.0.1:0", ...guest, "--run", "10ms", ...recover];
    await using there = new Ferry(args);
    await using tap = new Tap({ to: await there.listening(), record: false });
    await using here = new Ferry(["send", tap.uri, ...guest, ...SLOW, ...recover]);
    await Promise.all([here, there].map((side) => side.waitForStatus("postcopy-active")));
    tap.cut();
    assertEquals(await there.listening(), `unix:${folder}/again`);
    await Promise.all([here.succeeded(), there.succeeded()]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("An interruption does not end a source whose machine lacks pages, a second one does", async () => {
  const guest = ["--guest", "stress", "--ram", "8M", ...POSTCOPY];
  await using there = new Ferry(["receive", "tcp:127.0.0.1:0", ...guest]);
  await using here = new Ferry(["send", await there.listening(), ...guest, ...SLOW]);
  await Promise.all([here, there].map((side) => side.waitForStatus("postcopy-active")));
  there.kill("SIGKILL");
  await here.waitForStatus("postcopy-paused");
  here.kill("SIGINT");
  await here.said("Interrupt once more");
  here.kill("SIGINT");
  assertEquals((await here.finished()).code, 130);
});

Deno.test("With release-ram nothing can be mended, and that is said instead of trying", async () => {
  const guest = ["--guest", "stress", "--ram", "8M", "-c", "postcopy-ram"];
  await using there = new Ferry(["receive", "tcp:127.0.0.1:0", ...guest]);
  const args = ["send", await there.listening(), ...guest, ...SLOW, "-c", "release-ram"];
  await using here = new Ferry(args);
  await Promise.all([here, there].map((side) => side.waitForStatus("postcopy-active")));
  there.kill("SIGKILL");
  await here.said("It cannot be mended");
  assertStringIncludes(here.stderr, "what was sent is gone");
  assert(!here.events.names.includes("postcopy-recover-setup"));
});

Deno.test("send --from: ended in the middle in three ways, its command with --resume goes on", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [image, copy] = [`${folder}/image`, `${folder}/copy`];
    await using keeper = new Ferry(["receive", "tcp:127.0.0.1:0", "--save", image]);
    const guest = ["--guest", "stress", "--ram", "8M"];
    await using giver = new Ferry(["send", await keeper.listening(), ...guest]);
    await Promise.all([giver.succeeded(), keeper.succeeded()]);
    const saved = await Deno.readFile(image);

    await using there = new Ferry(["receive", "tcp:127.0.0.1:0", "--save", copy, ...POSTCOPY]);
    const uri = await there.listening();
    const args = ["send", uri, "--from", image, ...POSTCOPY, ...SLOW];
    const begin = (...more: string[]) => new Ferry([...args, ...more]);
    const ends = [
      (ferry: Ferry) => Promise.resolve(ferry.kill("SIGKILL")),
      async (ferry: Ferry) => {
        await there.waitForStatus("postcopy-recover");
        await there.waitForStatus("postcopy-active");
        ferry.kill("SIGKILL");
      },
    ];
    for (const [i, end] of ends.entries()) {
      await using ferry = i === 0 ? begin() : begin("--resume");
      await ferry.waitForStatus("postcopy-active");
      await end(ferry);
      await there.waitForStatus("postcopy-paused");
      assertEquals(await there.listening(), uri);
    }

    // Nobody is there; the one that was is found, and then somebody has enough of waiting.
    await using lonely = new Ferry([...args.with(1, `unix:${folder}/nobody`), "--resume"]);
    await lonely.said("Trying unix:");
    assert(!lonely.stderr.includes("Moved"));
    lonely.kill("SIGINT");
    const left = await lonely.finished();
    assertEquals([left.code, left.result?.["status"]], [130, "postcopy-paused"]);
    assertStringIncludes(left.stderr, "The same command with --resume goes on");
    assertStringIncludes(left.stderr, `The image ${image} is as it was`);

    await using last = begin("--resume");
    const info = await last.succeeded();
    assertEquals(
      last.events.names.join(" "),
      "postcopy-paused postcopy-recover-setup postcopy-recover postcopy-active completed",
    );
    const { transferred } = info["ram"] as Record<string, number>;
    assert(transferred! < 8 * 1024 ** 2, "what is there is not sent again");
    await there.succeeded();
    const [from, to] = await Promise.all([loadImage(image), loadImage(copy)]);
    for (const block of from.ram.blocks) {
      const bytes = (each: typeof block) => Uint8Array.from(each.view(0, each.length));
      const arrived = bytes(to.ram.block(block.name)!);
      assertEquals(describeDifference(bytes(block), arrived, 0), undefined, block.name);
    }
    assertEquals(await Deno.readFile(image), saved);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
