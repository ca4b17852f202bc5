import { assert, assertEquals, assertThrows } from "@std/assert";
import { SettingError } from "../../src/errors.ts";
import {
  isAuthorized,
  onlyIdentity,
  parseAuthorizationList,
} from "../../src/transport/tls_authorization.ts";

Deno.test("parseAuthorizationList() reads what QEMU's authz-list-file reads", () => {
  const list = parseAuthorizationList(
    `{"rules": [{"match": "CN=fred", "policy": "allow"},
      {"match": "CN=*,O=Home", "policy": "deny", "format": "glob"}], "policy": "allow"}`,
    "x.json",
  );
  assertEquals(list, {
    rules: [
      { match: "CN=fred", policy: "allow", format: "exact" },
      { match: "CN=*,O=Home", policy: "deny", format: "glob" },
    ],
    policy: "allow",
  });
  assertEquals(parseAuthorizationList("{}", "x"), { rules: [], policy: "deny" });
});

Deno.test("parseAuthorizationList() passes over nothing that it does not know", () => {
  const refused = {
    "": "not JSON",
    "[]": "it is not an object",
    '{"policy": "maybe"}': "its policy is not allow or deny",
    '{"rules": {}}': "not an array",
    '{"rules": [1]}': "rule 0 is not an object",
    '{"rules": [{"policy": "allow"}]}': 'rule 0 has no "match"',
    '{"rules": [{"match": "a"}]}': "the policy of rule 0",
    '{"rules": [{"match": "a", "policy": "allow", "format": "regex"}]}': "the format of rule 0",
    '{"rules": [{"match": "a", "policy": "allow", "fromat": "glob"}]}': '"fromat"',
    '{"default": "allow"}': '"default"',
  };
  for (const [json, why] of Object.entries(refused)) {
    const error = assertThrows(() => parseAuthorizationList(json, "/etc/acl"), SettingError, why);
    assert(error.message.includes("/etc/acl"), error.message);
  }
});

Deno.test("isAuthorized() lets the first rule that matches decide", () => {
  const list = {
    rules: [
      { match: "CN=mallory,*", policy: "deny", format: "glob" },
      { match: "*,O=Home", policy: "allow", format: "glob" },
      { match: "CN=*", policy: "allow", format: "exact" },
    ],
    policy: "deny",
  } as const;
  assert(isAuthorized(list, "CN=alice,O=Home"));
  assert(!isAuthorized(list, "CN=mallory,O=Home"));
  assert(!isAuthorized(list, "CN=alice,O=Homer"));
  assert(isAuthorized(list, "CN=*"), "an asterisk is one where nothing else is asked for");
  assert(!isAuthorized(list, "CN=x"));
  assert(isAuthorized({ rules: [], policy: "allow" }, "anybody"));
});

Deno.test("Patterns are QEMU's: * is any text, ? any character", () => {
  const glob = (match: string, text: string) =>
    isAuthorized({ rules: [{ match, policy: "allow", format: "glob" }], policy: "deny" }, text);
  for (
    const [pattern, text, matches] of [
      ["*", "", true],
      ["", "", true],
      ["", "a", false],
      ["a?c", "abc", true],
      ["a?c", "ac", false],
      ["a*b*c", "axxbyybzc", true],
      ["a*b*c", "axxbyybz", false],
      ["*.example", "a.b.example", true],
      ["**a**", "xay", true],
      ["a.c", "abc", false],
    ] as const
  ) {
    assertEquals(glob(pattern, text), matches, `${pattern} ${text}`);
  }
  // A pattern that would keep a backtracking matcher busy until the end of time.
  assert(!glob("*a".repeat(40) + "b", "a".repeat(5000)));
});

Deno.test("onlyIdentity() lets one in", () => {
  assert(isAuthorized(onlyIdentity("CN=a"), "CN=a"));
  assert(!isAuthorized(onlyIdentity("CN=*"), "CN=a"));
});
