import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/os/errno.ts";
import { closeDescriptor, failure, libc, libcProblem, openReadOnly } from "../../src/os/libc.ts";

const ignore = libcProblem() !== undefined;

Deno.test("libc() is there or libcProblem() says why not", () => {
  assertEquals(libc() === undefined, libcProblem() !== undefined);
  assert(libc() === libc());
});

Deno.test({
  name: "failure() gives minus the errno of the call before it",
  ignore,
  fn() {
    assertEquals(libc()!.close(987_654), -1);
    assertEquals(failure(), -Errno.EBADF);
  },
});

Deno.test({
  name: "openReadOnly() opens a file, or answers ENOENT",
  ignore,
  fn() {
    const fd = openReadOnly("/proc/self/status");
    const text = new Uint8Array(5);
    assertEquals(libc()!.read(fd, text, 5n), 5);
    assertEquals(new TextDecoder().decode(text), "Name:");
    closeDescriptor(fd);
    assertEquals(libc()!.read(fd, text, 5n), -1);
    assertEquals(openReadOnly("/proc/self/no such file"), -Errno.ENOENT);
  },
});
