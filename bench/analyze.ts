/**
 * `analyze -d state` of images of 1 GiB of RAM, as a process from its start to its end, beside QEMU's
 * script where `FERRY_ANALYZE_SCRIPT` names it, and beside reading the same file and doing nothing with it,
 * in turns: `deno run -A bench/analyze.ts [ROUNDS]`. The files are in the page cache.
 *
 * @module
 */
import { layOutTable } from "../src/analyze/text_table.ts";
import { QEMU_SCRIPT } from "../tests/support/qemu_script.ts";
import { RamFlag } from "../src/ram/flags.ts";
import { SyncFile } from "../src/transport/sync_file.ts";
import { ByteWriter } from "../src/wire/byte_writer.ts";
import { PAGE_SIZE, StreamBuilder } from "../tests/analyze/fixtures/stream_builder.ts";

const RAM = 1024 ** 3;
const PAGES = RAM / PAGE_SIZE;
const directory = Deno.makeTempDirSync();
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

/** Writes an image of which every so many pages have content; 0 for none. */
function makeImage(name: string, every: number): string {
  const path = `${directory}/${name}`;
  using file = SyncFile.create(path);
  let position = 0;
  const write = (bytes: Uint8Array) => {
    file.write(bytes, position);
    position += bytes.length;
  };
  const builder = new StreamBuilder().blocks({ "pc.ram": RAM });
  builder.pages((records) => records.zero("pc.ram", 0));
  // The part goes on: its end record and footer come last.
  const start = builder.writer.take();
  write(start.subarray(0, start.length - 8 - 5));
  const content = new Uint8Array(PAGE_SIZE);
  const writer = new ByteWriter(1 << 20);
  for (let page = 1; page < PAGES; page++) {
    const zero = every === 0 || page % every !== 0;
    writer.be64(page * PAGE_SIZE + RamFlag.CONTINUE + (zero ? RamFlag.ZERO : RamFlag.PAGE));
    if (zero) writer.u8(0);
    else writer.bytes(crypto.getRandomValues(content));
    if (writer.length > 1 << 19) write(writer.take());
  }
  write(writer.take());
  write(start.subarray(-8 - 5));
  const fields = [{ name: "field", type: "uint32", size: 4, array_len: 2000 }];
  builder.device("device", new Uint8Array(8000), fields);
  write(builder.finish());
  return path;
}

/** Runs a program to its end. */
async function run(program: string, args: readonly string[]): Promise<void> {
  const { success } = await new Deno.Command(program, { args: [...args], stdout: "null" }).output();
  if (!success) throw new Error(`${program} failed`);
}

function readAll(path: string): void {
  using file = SyncFile.open(path);
  const window = new Uint8Array(128 * 1024);
  for (let position = 0, count = 1; count > 0; position += count) {
    count = file.read(window, position);
  }
}

const main = new URL("../src/cli/main.ts", import.meta.url).pathname;
const permissions = ["--allow-read", "--allow-write", "--allow-env"];

/** What is measured of an image, by names. */
function contenders(image: string): Readonly<Record<string, () => Promise<void>>> {
  const script = QEMU_SCRIPT;
  const analyze = ["run", "--quiet", ...permissions, main, "analyze", image, "-d", "state"];
  return {
    analyze: () => run(Deno.execPath(), analyze),
    ...(script === undefined
      ? {}
      : { "QEMU's script": () => run("python3", [script, "-f", image, "-d", "state"]) }),
    "reading the file": () => Promise.resolve(readAll(image)),
  };
}

/** The middle of each contender's times in milliseconds, after one round that does not count. */
async function measure(image: string, rounds: number): Promise<Map<string, number>> {
  const times = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const [name, fn] of Object.entries(contenders(image))) {
      const start = performance.now();
      await fn();
      const all = times.get(name) ?? [];
      if (round > 0) all.push(performance.now() - start);
      times.set(name, all);
    }
  }
  return new Map([...times].map(([name, all]) => [name, all.sort((a, b) => a - b)[rounds >> 1]!]));
}

const rounds = Number(Deno.args[0] ?? 7);
const rows = [["1 GiB of", "", "ms", "GiB/s of the file", "as fast as analyze"]];
for (
  const [what, every] of [
    ["pages with content", 1],
    ["every other page zero", 2],
    ["zero pages", 0],
  ] as const
) {
  const image = makeImage(`image-${every}`, every);
  const size = Deno.statSync(image).size / 1024 ** 3;
  const times = await measure(image, rounds);
  for (const [name, time] of times) {
    const speed = (size / time * 1000).toFixed(2);
    const ratio = `${(times.get("analyze")! / time).toFixed(2)} ×`;
    rows.push([what, name, time.toFixed(0), speed, ratio]);
  }
  Deno.removeSync(image);
}
const text = layOutTable(rows, { left: [0, 1] }).join("\n") + "\n";
Deno.stdout.writeSync(new TextEncoder().encode(text));
