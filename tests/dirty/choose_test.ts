import "../support/load_libc.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { chooseDirtyLog } from "../../src/dirty/choose.ts";
import { SettingError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { probeHost } from "../../src/os/probe.ts";

const ram = GuestRam.create([{ name: "ram", length: 65536 }]);
const lack = probeHost().writeTracking;

Deno.test({
  name: "chooseDirtyLog() takes the kernel's log where there is one",
  ignore: lack !== undefined,
  fn() {
    for (const barrierCapable of [true, false]) {
      const { log, description } = chooseDirtyLog(ram, { barrierCapable });
      assertEquals([log.kind, description], ["kernel", "kernel"]);
    }
  },
});

Deno.test("chooseDirtyLog() takes the wanted one", () => {
  for (const wanted of ["barrier", "hash"] as const) {
    const { log, description } = chooseDirtyLog(ram, { wanted, barrierCapable: true });
    assertEquals([log.kind, description], [wanted, wanted]);
  }
});

Deno.test("chooseDirtyLog() refuses a wanted one that does not work here, and says why", () => {
  const error = assertThrows(
    () => chooseDirtyLog(ram, { wanted: "barrier", barrierCapable: false }),
    SettingError,
  );
  assertEquals(
    error.what,
    'There is no dirty log "barrier" here: the guest does not mark what it writes',
  );
});

Deno.test({
  name: "chooseDirtyLog() says why the better ones were not taken",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const script = new URL("./choose_elsewhere.ts", import.meta.url);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", script.href],
    }).output();
    assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), [
      "barrier (kernel: no --allow-ffi)",
      "hash (kernel: no --allow-ffi; barrier: the guest does not mark what it writes)",
      'SettingError: There is no dirty log "kernel" here: no --allow-ffi',
    ]);
  },
});
