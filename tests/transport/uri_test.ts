import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { formatUri, type MigrationUri, parseUri, VSOCK_ANY } from "../../src/transport/uri.ts";

const GOOD: readonly (readonly [string, MigrationUri])[] = [
  ["tcp:10.0.0.2:4444", { kind: "tcp", host: "10.0.0.2", port: 4444 }],
  ["unix:/run/a b,c.sock", { kind: "unix", path: "/run/a b,c.sock" }],
  ["vsock:3:1024", { kind: "vsock", cid: 3, port: 1024 }],
  ["vsock:4294967295:4294967295", { kind: "vsock", cid: VSOCK_ANY, port: VSOCK_ANY }],
  ["exec:gzip -c > 'a:b'", { kind: "exec", args: ["/bin/sh", "-c", "gzip -c > 'a:b'"] }],
  ["fd:7", { kind: "fd", fd: 7 }],
  ["fd:0", { kind: "fd", fd: 0 }],
  ["file:/tmp/a:b", { kind: "file", path: "/tmp/a:b", offset: 0 }],
  ["file:image,offset=4096", { kind: "file", path: "image", offset: 4096 }],
];

Deno.test("parseUri() reads every kind, and formatUri() writes the same", () => {
  for (const [text, uri] of GOOD) {
    assertEquals(parseUri(text), uri, text);
    assertEquals(formatUri(uri), text);
  }
  assertEquals(parseUri("file:f,offset=0x1000"), { kind: "file", path: "f", offset: 4096 });
  assertEquals(parseUri("file:f,offset=2M"), { kind: "file", path: "f", offset: 2 * 1024 ** 2 });
});

const BAD: readonly (readonly [uri: string, why: string, grammar: string])[] = [
  ["", "not a migration URI", "tcp:HOST:PORT"],
  ["tcp", "not a migration URI", "unix:PATH"],
  ["http:host:1", "not a migration URI", "exec:COMMAND"],
  ["constructor:1", "not a migration URI", "exec:COMMAND"],
  ["rdma:host:1", "RDMA is not supported", "tcp:HOST:PORT"],
  ["tcp:host:70000", "port 70000 is above 65535", "tcp:HOST:PORT[,to=MAXPORT]"],
  ["unix:", "the path is empty", "unix:PATH"],
  [`unix:/${"a".repeat(107)}`, "108 bytes is too long (at most 107)", "unix:PATH"],
  [`unix:/${"é".repeat(54)}`, "109 bytes is too long", "unix:PATH"],
  ["vsock:3", "CID or port is missing", "vsock:CID:PORT"],
  ["vsock:3:4:5", "CID or port is missing", "vsock:CID:PORT"],
  ["vsock:x:4", 'CID "x" is not a 32-bit number', "vsock:CID:PORT"],
  ["vsock:3:4294967296", "is not a 32-bit number", "vsock:CID:PORT"],
  ["exec: ", "the command is missing", "exec:COMMAND"],
  ["fd:", "is not a number", "fd:NUMBER"],
  ["fd:main", "need QMP's getfd", "fd:NUMBER"],
  ["fd:-1", "is not a number", "fd:NUMBER"],
  ["fd:1", "carries what this program says", "fd:NUMBER"],
  ["file:", "the path is missing", "file:PATH[,offset=SIZE]"],
  ["file:,offset=3", "the path is missing", "file:PATH[,offset=SIZE]"],
  ["file:f,offset=", "is not a size", "file:PATH[,offset=SIZE]"],
  ["file:f,offset=0x10k", "is not a size", "file:PATH[,offset=SIZE]"],
  ["file:f,offset=1,offset=2", "is not a size", "file:PATH[,offset=SIZE]"],
];

Deno.test("parseUri() says what is wrong with a URI and what the form is", () => {
  for (const [text, why, grammar] of BAD) {
    const { message } = assertThrows(() => parseUri(text), UsageError);
    assertStringIncludes(message, why, text);
    assertStringIncludes(message, grammar, text);
    assertStringIncludes(message, `"${text}": `);
  }
});

Deno.test("parseUri() refuses a port above 65535", () => {
  assertThrows(() => parseUri("tcp:host:65536"), UsageError, "65536");
  assertEquals(parseUri("tcp:host:65535"), { kind: "tcp", host: "host", port: 65535 });
});

Deno.test("formatUri() quotes a command that is not the shell's, so that the shell runs the same", () => {
  const args = ["/usr/bin/printf", "%s|", "it's", "$HOME", ""];
  const text = formatUri({ kind: "exec", args });
  const { stdout } = new Deno.Command("/bin/sh", { args: ["-c", text.slice(5)] }).outputSync();
  assertEquals(new TextDecoder().decode(stdout), "it's|$HOME||");
});
