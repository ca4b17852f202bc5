import fs from "node:fs";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { ConnectionLostError, StateError, TransportError } from "../../src/errors.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { readAll, temporaryDirectory } from "./connected.ts";
import { pattern } from "./pattern.ts";

Deno.test("fileSpec() makes a file for its owner alone, and FileChannel writes and reads it", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const writer = new FileChannel(fileSpec(path, 0, "write"));
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  await writer.write(pattern(1000));
  await writer.writeGather([pattern(10, 1000), new Uint8Array(0), pattern(20, 1010)]);
  assertEquals(writer.position, 1030);
  writer.sync();
  await writer.shutdown();
  writer.close();
  const reader = new FileChannel(fileSpec(path, 0, "read"));
  assertEquals(await readAll(reader), pattern(1030));
  assertEquals(await reader.read(new Uint8Array(1)), 0);
  reader.close();
});

Deno.test("fileSpec() cuts a file off at the offset and leaves what lies before", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  Deno.writeFileSync(path, pattern(100), { mode: 0o644 });
  const writer = new FileChannel(fileSpec(path, 40, "write"));
  assertEquals(Deno.statSync(path).size, 40);
  await writer.write(new Uint8Array(5).fill(255));
  writer.close();
  assertEquals([...Deno.readFileSync(path)], [...pattern(40), 255, 255, 255, 255, 255]);
  const reader = new FileChannel(fileSpec(path, 40, "read"));
  assertEquals([...await readAll(reader)], [255, 255, 255, 255, 255]);
  reader.close();
});

Deno.test("fileSpec() beyond a file's end leaves a hole of zeros", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const writer = new FileChannel(fileSpec(path, 10, "write"));
  await writer.write(pattern(3));
  writer.close();
  assertEquals([...Deno.readFileSync(path)], [...new Uint8Array(10), ...pattern(3)]);
});

Deno.test("FileChannel reads and writes at positions, and its own stays", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const spec = fileSpec(path, 8, "write");
  const writers = [new FileChannel(spec), new FileChannel(spec)] as const;
  await writers[0].writeAt(pattern(100, 50), 50);
  await writers[1].writeAt(pattern(42, 8), 8);
  assertEquals(writers[0].position, 8);
  writers[0].truncate(120);
  for (const writer of writers) writer.close();
  const reader = new FileChannel(fileSpec(path, 0, "read"));
  const shared = new Uint8Array(new SharedArrayBuffer(64));
  assertEquals(await reader.readAt(shared.subarray(1, 51), 60), 50);
  assertEquals([...shared.subarray(0, 52)], [0, ...pattern(50, 60), 0]);
  assertEquals(await reader.readAt(new Uint8Array(50), 100), 20, "no more than there is");
  assertEquals(reader.position, 0);
  reader.close();
});

Deno.test("FileChannel carries shared memory larger than one call, gathered and whole", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const shared = new Uint8Array(new SharedArrayBuffer(20 << 20));
  for (let at = 0; at < shared.length; at += 4096) shared.fill(at / 4096, at, at + 4096);
  const writer = new FileChannel(fileSpec(path, 0, "write"));
  await writer.write(shared);
  // More parts than one writev takes.
  const parts = Array.from({ length: 2500 }, (_, i) => shared.subarray(i * 4096, (i + 1) * 4096));
  await writer.writeGather(parts.toReversed());
  writer.close();
  const reader = new FileChannel(fileSpec(path, 0, "read"));
  const whole = new Uint8Array(shared.length);
  assertEquals(await reader.readAt(whole, 0), shared.length);
  assert(whole.every((byte, i) => byte === ((i / 4096) & 0xff)));
  const page = new Uint8Array(4096);
  for (let i = 0; i < 2500; i += 7) {
    await reader.readAt(page, shared.length + i * 4096);
    assert(page.every((byte) => byte === ((2499 - i) & 0xff)), `part ${i}`);
  }
  reader.close();
});

Deno.test("FileChannel gives the event loop a turn while it reads on and on", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  Deno.writeFileSync(path, new Uint8Array(1 << 20));
  let stopped = false;
  setTimeout(() => stopped = true);
  const into = new Uint8Array(1 << 20);
  while (!stopped) {
    const reader = new FileChannel(fileSpec(path, 0, "read"));
    for (let i = 0; i < 16; i++) await reader.readAt(into, 0);
    reader.close();
  }
});

Deno.test("fileSpec() says why a file cannot be used", () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  assertThrows(() => fileSpec(`${path}/none`, 0, "read"), TransportError, "no such file");
  assertThrows(() => fileSpec(`${path}/no/file`, 0, "write"), TransportError, "no such file");
  assertThrows(() => fileSpec(path, 0, "write"), TransportError, `Cannot open file:${path}: `);
  assertThrows(() => fileSpec("/dev/null", 0, "write"), TransportError, "neither a file");
});

Deno.test("fileSpec() refuses a FIFO instead of waiting for its other end", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/fifo`;
  assertEquals(new Deno.Command("mkfifo", { args: [path] }).outputSync().code, 0);
  const error = assertThrows(() => fileSpec(path, 0, "read"), TransportError, "neither a file");
  assertEquals(error.advice, "Use exec:cat PATH");
});

Deno.test("FileChannel refuses a file that has taken another's place", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const spec = fileSpec(path, 0, "write");
  Deno.renameSync(path, `${path}.old`);
  assertThrows(() => new FileChannel(spec), TransportError, "no such file");
  Deno.writeFileSync(path, pattern(3));
  assertThrows(() => new FileChannel(spec), TransportError, "another file has taken its place");
  assertEquals(Deno.readFileSync(path), pattern(3));
});

Deno.test("FileChannel says why a write failed", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const writer = new FileChannel(fileSpec(path, 0, "write"));
  const { message } = await assertRejects(
    () => writer.writeAt(pattern(1), Number.MAX_SAFE_INTEGER - 1),
    TransportError,
    `Cannot write file:${path}: `,
  );
  assertMatch(message, /file.* too large/i);
  writer.close();
});

Deno.test("FileChannel refuses the other direction, an empty target, and anything after close()", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const writer = new FileChannel(fileSpec(path, 0, "write"));
  await assertRejects(() => writer.read(new Uint8Array(1)), StateError, "is open to write");
  const reader = new FileChannel(fileSpec(path, 0, "read"));
  await assertRejects(() => reader.write(new Uint8Array(1)), StateError, "is open to read");
  await assertRejects(() => reader.writeGather([]), StateError, "is open to read");
  assertThrows(() => reader.sync(), StateError);
  await assertRejects(() => reader.read(new Uint8Array(0)), RangeError);
  for (const channel of [writer, reader]) {
    channel.close();
    channel.close();
  }
  await assertRejects(() => reader.read(new Uint8Array(1)), ConnectionLostError, "on this side");
  await assertRejects(() => writer.write(new Uint8Array(1)), ConnectionLostError, "on this side");
});

Deno.test("FileChannel.readNow() reads at a position into the midst of shared memory, up to the end", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  Deno.writeFileSync(path, pattern(1000));
  const reader = new FileChannel(fileSpec(path, 0, "read"));
  assertEquals([reader.size, reader.position], [1000, 0]);
  const into = new Uint8Array(new SharedArrayBuffer(300));
  assertEquals(reader.readNow(into, 50, 200, 700), 200);
  assertEquals(Uint8Array.from(into.subarray(50, 250)), pattern(1000).subarray(700, 900));
  assertEquals([into[49], into[250]], [0, 0]);
  assertEquals(reader.readNow(into, 0, 300, 900), 100);
  assertEquals(reader.readNow(into, 0, 300, 2000), 0);
  assertEquals(reader.position, 0);
  reader.close();
  assertThrows(() => reader.readNow(into, 0, 1, 0), ConnectionLostError);
});

Deno.test("FileChannel writes at once at a position, and goes on where it is told to", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const spec = fileSpec(path, 0, "write");
  const writer = new FileChannel(spec);
  writer.writeNow(pattern(100), 10, 20, 50);
  assertEquals(writer.position, 0);
  writer.seek(80);
  await writer.write(pattern(3));
  assertEquals(writer.position, 83);
  writer.close();
  assertEquals(
    [...Deno.readFileSync(path)],
    [...new Uint8Array(50), ...pattern(20, 10), ...new Uint8Array(10), ...pattern(3)],
  );
  const reader = new FileChannel(fileSpec(path, 0, "read"));
  reader.seek(78);
  assertEquals([...await readAll(reader)], [0, 0, ...pattern(3)]);
  assertThrows(() => reader.writeNow(pattern(1), 0, 1, 0), StateError, "is open to read");
  reader.close();
});

/** Whether this process has a file open with O_DIRECT, by what the kernel says of its descriptor. */
function isDirect(path: string): boolean {
  const script = `cd /proc/$PPID/fd; for fd in *; do
    [ "$(readlink $fd)" != "$0" ] || sed -n 's/^flags:[^0-9]*//p' ../fdinfo/$fd; done`;
  const { stdout } = new Deno.Command("sh", { args: ["-c", script, path] }).outputSync();
  const flags = parseInt(new TextDecoder().decode(stdout), 8);
  return (flags & fs.constants.O_DIRECT) !== 0;
}

Deno.test("FileChannel goes around the page cache if it is told to", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(pattern(bytes.length));
  const spec = fileSpec(path, 0, "write");
  for (const direct of [true, false]) {
    const writer = new FileChannel({ ...spec, direct });
    assertEquals(isDirect(path), direct);
    writer.writeNow(bytes, 4096, 8192, 4096);
    writer.close();
  }
  assertEquals([...Deno.readFileSync(path)], [...new Uint8Array(4096), ...pattern(8192, 4096)]);
  bytes.fill(0);
  const reader = new FileChannel({ ...fileSpec(path, 0, "read"), direct: true });
  assertEquals(isDirect(path), true);
  assertEquals(reader.readNow(bytes, 8192, 4096, 8192), 4096);
  reader.close();
  assertEquals([...bytes.subarray(8192, 12288)], [...pattern(4096, 8192)]);
});

Deno.test("FileChannel says where the page cache cannot be gone around", () => {
  const program = new URL("./direct_program.ts", import.meta.url).pathname;
  const { stdout } = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--quiet", "--allow-all", program],
  }).outputSync();
  const [first, second] = new TextDecoder().decode(stdout).split("\n");
  assertMatch(first!, /Cannot open file:\/proc\/version around the page cache .*direct-io off/);
  // Other reasons stay what they are.
  assertEquals(second!.trim(), "Cannot open file:/proc/none: no such file or directory");
});
