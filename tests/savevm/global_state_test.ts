import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { RUN_STATES, type RunState } from "../../src/machine/run_state.ts";
import { GlobalState } from "../../src/savevm/global_state.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { fromHex, text, written } from "../wire/vectors.ts";

const QEMU_10 = `0000000a ${text("prelaunch")} ${"00".repeat(23)} 01 00 ${"00".repeat(66)}`;
const QEMU_72 = `0000000a ${text("prelaunch")} ${"00".repeat(91)}`;

Deno.test("GlobalState writes what QEMU 10.0 writes", () => {
  const state = new GlobalState(() => "prelaunch");
  assertEquals(written((writer) => state.save(writer)), fromHex(QEMU_10).toHex());
});

Deno.test("GlobalState reads what both QEMUs write", async () => {
  for (const hex of [QEMU_10, QEMU_72]) {
    const state = new GlobalState(() => "running");
    const reader = ByteReader.of(fromHex(hex));
    await state.load(reader);
    assertEquals([state.loaded, reader.position], ["prelaunch", 104]);
  }
});

Deno.test("GlobalState brings every run state over", async () => {
  for (const runState of RUN_STATES) {
    const there = new GlobalState(() => "running");
    const hex = written((writer) => new GlobalState(() => runState).save(writer));
    await there.load(ByteReader.of(fromHex(hex)));
    assertEquals(there.loaded, runState satisfies RunState);
  }
});

Deno.test("GlobalState takes a stream without the section for a machine that ran", () => {
  assertEquals(new GlobalState(() => "paused").loaded, "running");
});

Deno.test("GlobalState refuses what is no run state, whatever length it claims", async () => {
  const rest = "00".repeat(100);
  for (
    const hex of [
      `00000008 ${text("dancing")} ${rest}`,
      `00000000 ${text("running")} ${rest}`,
      `00000001 ${text("running")} ${rest}`,
      `ffffffff ${text("running")} ${rest}`,
      `00000007 ${text("running")} ${rest}`,
      `00000003 fffe ${rest}`,
    ]
  ) {
    const state = new GlobalState(() => "running");
    const bytes = fromHex(hex).subarray(0, 104);
    const error = await assertRejects(
      () => state.load(ByteReader.of(bytes)),
      StreamFormatError,
      "Unknown run state",
    );
    assertEquals(error.message.includes("\0"), false, "no control characters in messages");
    assertEquals(state.loaded, "running");
  }
  await assertRejects(
    () => new GlobalState(() => "running").load(ByteReader.of(fromHex(QEMU_10).subarray(0, 103))),
    ConnectionLostError,
  );
});
