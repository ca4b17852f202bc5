import { assertEquals } from "@std/assert";
import { tlsReason } from "../../src/transport/tls_reason.ts";

const coded = (code: string, members = {}) => Object.assign(new Error("raw"), { code, ...members });

Deno.test("tlsReason() says whose certificate it is and what is wrong with it", () => {
  assertEquals(tlsReason(coded("CERT_HAS_EXPIRED")), "the peer's certificate has expired");
  assertEquals(
    tlsReason(coded("DEPTH_ZERO_SELF_SIGNED_CERT")),
    "the peer's certificate is of an authority that is not trusted",
  );
  // A server is told of a client's by the socket, not by the error.
  assertEquals(
    tlsReason(coded("ECONNRESET", { authorization: "CERT_NOT_YET_VALID" })),
    "the peer's certificate is not valid yet",
  );
});

Deno.test("tlsReason() leaves the rest to the system's reasons", () => {
  assertEquals(tlsReason(coded("ECONNRESET")), "connection reset by the peer");
  assertEquals(
    tlsReason(coded("ECONNRESET", { authorization: null })),
    "connection reset by the peer",
  );
  assertEquals(tlsReason(new Error("received fatal alert")), "received fatal alert");
  assertEquals(tlsReason("gone"), "gone");
});
