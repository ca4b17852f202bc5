/**
 * The downtime of `demo`, again and again: `deno task bench:downtime [RUNS] [demo's options]`. The baseline is
 * what a machine that is stopped first would wait: the whole time of the same migration.
 *
 * @module
 */
import type { MigrationInfo } from "../src/control/migration_info.ts";

const OPTIONS = ["--ram", "1G", "--dirty-rate", "200M"];
const [first = "7", ...rest] = Deno.args;
const runs = Number(first);
const options = rest.length > 0 ? rest : OPTIONS;

/** One demo. @returns What its source said at the end. */
async function demo(): Promise<MigrationInfo> {
  const config = new URL("../deno.json", import.meta.url);
  const command = JSON.parse(await Deno.readTextFile(config)).tasks.migrate.command as string;
  const [, ...args] = command.split(" ");
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "demo", ...options, "--json"],
    cwd: new URL("..", import.meta.url).pathname,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1)!);
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

function row(label: string, values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const numbers = [sorted[0]!, sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!];
  return label.padEnd(24) + numbers.map((each) => each.toFixed(1).padStart(9)).join("");
}

const infos: MigrationInfo[] = [];
for (let i = 0; i < runs; i++) infos.push(await demo());
const downtimes = infos.map((info) => info.downtime!);
const totals = infos.map((info) => info["total-time"]!);
print(`demo ${options.join(" ")}, ${runs} runs`);
print("".padEnd(24) + ["min", "median", "max"].map((each) => each.padStart(9)).join(""));
print(row("downtime, ms", downtimes));
print(row("whole migration, ms", totals));
print(row("ratio", infos.map((_, i) => totals[i]! / Math.max(1, downtimes[i]!))));
