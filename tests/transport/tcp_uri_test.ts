import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { familyOf, formatTcp, parseTcp, type TcpUri } from "../../src/transport/tcp_uri.ts";

Deno.test("parseTcp() reads hosts, ports and options, and formatTcp() writes them", () => {
  const cases: readonly (readonly [string, Omit<TcpUri, "kind">, string?])[] = [
    ["10.0.0.2:4444", { host: "10.0.0.2", port: 4444 }],
    [":0", { host: "", port: 0 }],
    ["[::1]:4444", { host: "::1", port: 4444 }],
    ["[fe80::1%eth0]:1", { host: "fe80::1%eth0", port: 1 }],
    ["host:4444,to=4450", { host: "host", port: 4444, to: 4450 }],
    ["host:1,to=1", { host: "host", port: 1, to: 1 }],
    ["host:1,ipv4", { host: "host", port: 1, ipv4: true }, "host:1,ipv4=on"],
    [
      "host:1,ipv4=on,ipv6=on",
      { host: "host", port: 1, ipv4: true, ipv6: true },
    ],
    ["host:1,ipv6=off,keep-alive=off", { host: "host", port: 1, ipv6: false, keepAlive: false }],
    ["host:1,keep-alive", { host: "host", port: 1, keepAlive: true }, "host:1,keep-alive=on"],
    ["host:1,mptcp=off", { host: "host", port: 1 }, "host:1"],
    [`${"h".repeat(64)}:1`, { host: "h".repeat(64), port: 1 }],
  ];
  for (const [text, uri, written = text] of cases) {
    assertEquals(parseTcp(text), { kind: "tcp", ...uri }, text);
    assertEquals(formatTcp({ kind: "tcp", ...uri }), written);
  }
});

Deno.test("parseTcp() refuses what is no address", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["", "the port is missing"],
    ["host", "the port is missing"],
    ["host:", "the port is missing"],
    ["host:,to=3", "the port is missing"],
    ["host:http", 'port "http" is not a number'],
    ["host:-1", "is not a number"],
    ["host:1e3", "is not a number"],
    ["host: 1", "is not a number"],
    ["host:99999999999999999999", "above 65535"],
    ["::1:4444", "belongs in brackets"],
    ["fe80::1:4444", "belongs in brackets"],
    ["[]:1", "the brackets are empty"],
    ["[::1:4444", "host is not valid"],
    ["[::1]4444:1", "host is not valid"],
    ["a b:1", "has a space in it"],
    [`${"h".repeat(65)}:1`, "65 characters is too long"],
    ["host:1,", 'option "" is unknown'],
    ["host:1,,ipv4", 'option "" is unknown'],
    ["host:1,keep-alive-idle=3", "is unknown"],
    ["host:1,to=", "the highest port is missing"],
    ["host:1,to", "the highest port is missing"],
    ["host:1,to=65536", "above 65535"],
    ["host:10,to=9", "to=9 is below port 10"],
    ["host:1,ipv4=maybe", "neither on nor off"],
    ["host:1,ipv4=", "neither on nor off"],
    ["host:1,ipv4,ipv4=off", "option ipv4 is there twice"],
    ["host:1,ipv4=off,ipv6=off", "leave no kind of address"],
    ["host:1,mptcp", "multipath TCP is not supported"],
  ];
  for (const [text, why] of cases) {
    assertThrows(() => parseTcp(text), UsageError, why, text);
  }
});

Deno.test("familyOf() follows QEMU's table of the two flags", () => {
  const family = (flags: { ipv4?: boolean; ipv6?: boolean }) =>
    familyOf({ kind: "tcp", host: "", port: 0, ...flags });
  assertEquals(family({}), 0);
  assertEquals(family({ ipv4: true, ipv6: true }), 0);
  assertEquals([family({ ipv6: true }), family({ ipv4: false })], [6, 6]);
  assertEquals([family({ ipv4: true }), family({ ipv6: false })], [4, 4]);
  assertEquals(family({ ipv4: false, ipv6: true }), 6);
});
