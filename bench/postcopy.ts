/**
 * `deno task bench:postcopy`: postcopy beside QEMU 10.0's, in turn.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { FerryFaults } from "./postcopy/ferry_faults.ts";
import { QemuFaults } from "./postcopy/qemu_faults.ts";
import { say } from "./versus_qemu/table.ts";
const args = parseArgs(Deno.args, { string: ["pairs", "only"] });
const pairs = Number(args.pairs ?? 2);
for (const background of ["idle", "full"] as const) {
  const plan = { pages: 65536, touches: background === "idle" ? 2048 : 65536 };
  await using qemu = await QemuFaults.start(plan);
  await using ferry = await FerryFaults.start(plan);
  for (let i = 0; i < pairs; i++) {
    say(`${background} qemu ${JSON.stringify(await qemu.measure(background))}`);
    say(`${background} ferry ${JSON.stringify(await ferry.measure(background))}`);
  }
}
