import { assertEquals, assertThrows } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { makeFolder, SyncFile, temporaryFile } from "../../src/transport/sync_file.ts";
import { temporaryDirectory } from "./connected.ts";
import { pattern } from "./pattern.ts";

Deno.test("A SyncFile is written and read at any place", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/file`;
  {
    using file = SyncFile.create(path);
    file.write(pattern(1000), 500);
    file.truncate(2000);
    assertEquals(file.size, 2000);
    const back = new Uint8Array(100);
    assertEquals(file.read(back, 600), 100);
    assertEquals(back, pattern(100, 100));
  }
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  using file = SyncFile.open(path);
  assertEquals([file.name, file.size], [path, 2000]);
  assertEquals(file.read(new Uint8Array(100), 1950), 50);
  assertEquals(file.read(new Uint8Array(100), 2000), 0);
  using emptied = SyncFile.create(path);
  assertEquals(emptied.size, 0);
});

Deno.test("SyncFile says why a file cannot be used", () => {
  using directory = temporaryDirectory();
  const missing = `${directory.path}/no`;
  assertThrows(
    () => SyncFile.open(missing),
    TransportError,
    `open ${missing}: no such file or directory`,
  );
  assertThrows(() => SyncFile.open(directory.path), TransportError, "it is no file");
  assertThrows(() => SyncFile.create(`${missing}/file`), TransportError, "no such file");
  using file = SyncFile.create(missing);
  assertThrows(
    () => makeFolder(`${missing}/below`),
    TransportError,
    `make folder ${missing}/below`,
  );
  assertEquals(file.size, 0);
});

Deno.test("temporaryFile() has no name that anybody could open", () => {
  using file = temporaryFile("what came");
  file.write(pattern(10), 0);
  assertEquals([file.name, file.size], ["what came", 10]);
});

Deno.test("makeFolder() makes what is missing above, too", () => {
  using directory = temporaryDirectory();
  makeFolder(`${directory.path}/a/b/c`);
  makeFolder(`${directory.path}/a/b/c`);
  assertEquals(Deno.statSync(`${directory.path}/a/b/c`).isDirectory, true);
});
