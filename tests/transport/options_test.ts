import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { openingError, requireVsock } from "../../src/transport/options.ts";

const uri = { kind: "vsock", cid: 3, port: 1 } as const;

Deno.test("requireVsock() lets pass who vouches for the flag", () => {
  requireVsock(uri, { vsock: true });
  assertThrows(() => requireVsock(uri, {}), TransportError, "not started for vsock");
});

Deno.test("openingError() says what, where and why, and what to try", () => {
  const cause = Object.assign(new Error("x"), { code: "EADDRINUSE" });
  const error = openingError("listen on", uri, cause);
  assertEquals(error.message, "Cannot listen on vsock:3:1: the address is in use");
  assertEquals(error.advice, "Use another port, or port 0 for any that is free");
  assertStrictEquals(error.cause, cause);
  assertEquals(openingError("connect to", uri, new Error("odd")).advice, undefined);
  assertStrictEquals(openingError("connect to", uri, error), error, "what says it already");
});
