/**
 * The captures of `tests/golden` are good: a real QEMU loads them.
 *
 * @module
 */
import { readGolden } from "../support/golden.ts";
import { GOLDEN_RECIPES } from "../support/golden_recipes.ts";
import { qemuTest } from "../support/qemu_lab.ts";

const DISK_SIZE = 64 * 1024 ** 2;

for (const [name, recipe] of Object.entries(GOLDEN_RECIPES)) {
  if (!recipe.loads) continue;
  qemuTest(`QEMU ${recipe.version} loads golden ${name}`, {
    needs: [recipe.version],
  }, async (lab) => {
    await Deno.writeFile(lab.path("stream"), await readGolden(name));
    using disk = await Deno.create(lab.path("disk"));
    await disk.truncate(DISK_SIZE);
    const qemu = await lab.qemu(recipe.version, {
      ...recipe.machine(lab.dir),
      ...{ incoming: "defer", paused: true },
    });
    await qemu.setCapabilities(
      Object.fromEntries((recipe.capabilities ?? []).map((capability) => [capability, true])),
    );
    const seekable = recipe.capabilities?.includes("mapped-ram");
    await qemu.migrateIncoming(`${seekable ? "file:" : "exec:cat "}${lab.path("stream")}`);
    await qemu.waitForStatus("completed");
    if (recipe.machine(lab.dir).guest) {
      await qemu.cont();
      await qemu.serial.waitForHeartbeats();
      await qemu.waitForRunState("running");
    }
  });
}
