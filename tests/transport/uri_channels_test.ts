import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { type MigrationUri, parseUri } from "../../src/transport/uri.ts";
import {
  formatChannels,
  formatSocketAddress,
  parseChannels,
} from "../../src/transport/uri_channels.ts";

const main = (addr: unknown) => [{ "channel-type": "main", addr }];
const inet = { transport: "socket", type: "inet", host: "h", port: "4444" };

const SAME: readonly (readonly [unknown, MigrationUri])[] = [
  [inet, { kind: "tcp", host: "h", port: 4444 }],
  [
    { ...inet, to: 4450, ipv4: true, ipv6: false, "keep-alive": false },
    { kind: "tcp", host: "h", port: 4444, to: 4450, ipv4: true, ipv6: false, keepAlive: false },
  ],
  [{ transport: "socket", type: "unix", path: "/a" }, { kind: "unix", path: "/a" }],
  [
    { transport: "socket", type: "vsock", cid: "3", port: "1234" },
    { kind: "vsock", cid: 3, port: 1234 },
  ],
  [{ transport: "socket", type: "fd", str: "7" }, { kind: "fd", fd: 7 }],
  [{ transport: "exec", args: ["/bin/cat", "-"] }, { kind: "exec", args: ["/bin/cat", "-"] }],
  [
    { transport: "file", filename: "/x,offset=1", offset: 4096 },
    { kind: "file", path: "/x,offset=1", offset: 4096 },
  ],
];

Deno.test("parseChannels() reads every kind of address, and formatChannels() writes it", () => {
  for (const [addr, uri] of SAME) {
    assertEquals(parseChannels(main(addr)), uri);
    assertEquals(formatChannels(uri), main(addr));
  }
});

Deno.test("formatChannels() writes what any URI means in the form that parseChannels() reads", () => {
  for (const text of ["tcp:[::1]:0,to=9,ipv6", "exec:cat > x", "file:a,offset=3", "unix:b"]) {
    assertEquals(parseChannels(formatChannels(parseUri(text))), parseUri(text));
  }
});

Deno.test("parseChannels() takes members that change nothing here", () => {
  const uri = parseChannels(main({ ...inet, numeric: true, mptcp: false }));
  assertEquals(uri, { kind: "tcp", host: "h", port: 4444 });
  const unix = { transport: "socket", type: "unix", path: "/a", abstract: false, tight: true };
  assertEquals(parseChannels(main(unix)), { kind: "unix", path: "/a" });
});

Deno.test("parseChannels() names the member that is wrong", () => {
  const [channel] = main(inet);
  const cases: readonly (readonly [unknown, string])[] = [
    [undefined, "channels is not an array"],
    [{}, "channels is not an array"],
    [[], "no entry of channel-type main"],
    [[null], "channels[0] is not an object"],
    [[[]], "channels[0] is not an object"],
    [[{ addr: inet }], "channels[0].channel-type is missing"],
    [[{ ...channel, "channel-type": "cpr" }], 'channels[0].channel-type "cpr" is not supported'],
    [[channel, channel], "main twice"],
    [[{ ...channel, extra: 1 }], "channels[0].extra is unknown"],
    [[{ "channel-type": "main" }], "channels[0].addr is missing"],
    [main("tcp:h:1"), "channels[0].addr is not an object"],
    [main({}), "channels[0].addr.transport is missing"],
    [main({ transport: "rdma", host: "h", port: "1" }), 'transport "rdma" is not supported'],
    [main({ transport: "socket" }), "addr.type is missing"],
    [main({ transport: "socket", type: "udp" }), 'addr.type "udp" is not supported'],
    [main({ ...inet, port: 4444 }), "channels[0].addr.port is not a string"],
    [main({ ...inet, port: "70000" }), "channels[0].addr: port 70000 is above 65535"],
    [main({ ...inet, to: "9" }), "channels[0].addr.to is not a whole number"],
    [main({ ...inet, to: 70000 }), "channels[0].addr: highest port 70000"],
    [main({ ...inet, to: 1 }), "channels[0].addr: to=1 is below"],
    [main({ ...inet, ipv4: "on" }), "channels[0].addr.ipv4 is not a boolean"],
    [main({ ...inet, mptcp: true }), "multipath TCP"],
    [main({ ...inet, path: "/a" }), "channels[0].addr.path is unknown"],
    [main({ transport: "socket", type: "unix", path: "" }), "channels[0].addr: the path is empty"],
    [main({ transport: "socket", type: "unix", path: "a", abstract: true }), "abstract"],
    [main({ transport: "socket", type: "vsock", cid: "a", port: "1" }), 'CID "a"'],
    [main({ transport: "socket", type: "fd", str: "name" }), "getfd"],
    [main({ transport: "exec", args: [] }), "addr.args is not an array of strings"],
    [main({ transport: "exec", args: ["a", 1] }), "addr.args is not an array of strings"],
    [main({ transport: "exec" }), "addr.args is missing"],
    [main({ transport: "file", filename: "f" }), "addr.offset is missing"],
    [main({ transport: "file", filename: "", offset: 0 }), "addr.filename"],
    [main({ transport: "file", filename: "f", offset: -1 }), "addr.offset is not a whole number"],
    [main({ transport: "file", filename: "f", offset: 1.5 }), "addr.offset is not a whole number"],
  ];
  for (const [channels, why] of cases) {
    const { message } = assertThrows(() => parseChannels(channels), UsageError);
    assertStringIncludes(message, why);
  }
});

Deno.test("formatSocketAddress() writes what query-migrate shows", () => {
  const address = formatSocketAddress({ kind: "tcp", host: "127.0.0.1", port: 41234 });
  assertEquals(address, { type: "inet", host: "127.0.0.1", port: "41234" });
});
