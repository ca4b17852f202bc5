import { assertEquals, assertThrows } from "@std/assert";
import { compressionOf, requireMultiChannel } from "../../src/control/multi_channel.ts";
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
