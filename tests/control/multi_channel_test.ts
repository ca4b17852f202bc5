import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  compressionOf,
  requireMultiChannel,
  requireTransport,
} from "../../src/control/multi_channel.ts";
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { changeParameters, defaultParameters } from "../../src/control/parameters.ts";
import { SettingError } from "../../src/errors.ts";
import { parseUri } from "../../src/transport/uri.ts";

Deno.test("requireMultiChannel() takes addresses that can be connected to twice", () => {
  for (const uri of ["tcp:localhost:1", "unix:/tmp/x", "vsock:2:3"]) {
    requireMultiChannel(parseUri(uri));
  }
  for (const uri of ["exec:cat", "fd:3", "file:/tmp/x"]) {
    const error = assertThrows(() => requireMultiChannel(parseUri(uri)), SettingError, uri);
    assertEquals(error.message.startsWith("Migration requires multi-channel URIs"), true);
    assertEquals(error.advice, "Turn the capability multifd off.");
  }
});

const settingsWith = (capabilities: Record<string, boolean>, compression = "none") => ({
  capabilities: changeCapabilities(defaultCapabilities(), capabilities),
  parameters: changeParameters(defaultParameters(), { "multifd-compression": compression }),
});

Deno.test("requireTransport() wants a file for mapped-ram, which multifd opens more than once", () => {
  const mapped = { "mapped-ram": true };
  const both = { ...mapped, multifd: true };
  for (const capabilities of [mapped, both]) {
    requireTransport(parseUri("file:/tmp/x,offset=4096"), settingsWith(capabilities));
    for (const uri of ["tcp:localhost:1", "unix:/tmp/x", "exec:cat", "fd:3"]) {
      const check = () => requireTransport(parseUri(uri), settingsWith(capabilities));
      const error = assertThrows(check, SettingError, uri);
      assertStringIncludes(error.message, "Migration requires seekable transport (e.g. file)");
    }
  }
  assertThrows(
    () => requireTransport(parseUri("file:/tmp/x"), settingsWith(both, "zstd")),
    SettingError,
    "Cannot use compression with mapped-ram",
  );
  const leavingOut = settingsWith({ ...mapped, "x-ignore-shared": true });
  assertThrows(
    () => requireTransport(parseUri("file:/tmp/x"), leavingOut),
    SettingError,
    "Cannot leave shared RAM out of a mapped-ram file",
  );
});

Deno.test("requireTransport() wants more than one connection for multifd, and else takes any", () => {
  const multifd = settingsWith({ multifd: true });
  requireTransport(parseUri("tcp:localhost:1"), multifd);
  requireTransport(parseUri("exec:cat"), settingsWith({}));
  assertThrows(() => requireTransport(parseUri("file:x"), multifd), SettingError, "multi-channel");
});

Deno.test("compressionOf() takes the level that belongs to the method", () => {
  const parameters = changeParameters(defaultParameters(), {
    "multifd-zlib-level": 7,
    "multifd-zstd-level": 13,
  });
  const compressed = (method: "none" | "zlib" | "zstd") =>
    compressionOf({ ...parameters, "multifd-compression": method }, undefined);
  assertEquals(compressed("none"), { method: "none", level: 0, codec: "handle" });
  assertEquals(compressed("zlib"), { method: "zlib", level: 7, codec: "handle" });
  assertEquals(compressed("zstd"), { method: "zstd", level: 13, codec: "handle" });
});

Deno.test("compressionOf() leans on Deno's internals no more than sockets do", () => {
  assertEquals(compressionOf(defaultParameters(), "bridge").codec, "stream");
  assertEquals(compressionOf(defaultParameters(), "descriptor").codec, "handle");
});
