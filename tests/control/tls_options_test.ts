import { assertEquals, assertRejects } from "@std/assert";
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import {
  changeParameters,
  defaultParameters,
  type ParameterChanges,
} from "../../src/control/parameters.ts";
import { tlsTransport } from "../../src/control/tls_options.ts";
import { SettingError } from "../../src/errors.ts";

const settings = (parameters: ParameterChanges, capabilities = {}) => ({
  parameters: changeParameters(defaultParameters(), parameters),
  capabilities: changeCapabilities(defaultCapabilities(), capabilities),
});

Deno.test("tlsTransport() is nothing without tls-creds", async () => {
  assertEquals(await tlsTransport("source", settings({})), {});
  assertEquals(await tlsTransport("destination", settings({ "tls-hostname": "a" })), {});
});

Deno.test("tlsTransport() gives each side what is its own", async () => {
  const given = settings({
    "tls-creds": "/etc/pki/qemu",
    "tls-hostname": "there",
    "tls-authz": "C=GB,CN=a",
  });
  assertEquals(await tlsTransport("source", given), {
    tls: { folder: "/etc/pki/qemu", hostname: "there" },
  });
  assertEquals(await tlsTransport("destination", given), {
    tls: {
      folder: "/etc/pki/qemu",
      verifyPeer: true,
      authorization: { rules: [{ match: "C=GB,CN=a", policy: "allow" }], policy: "deny" },
    },
  });
  for (const [text, verifyPeer] of [["off", false], ["no", false], ["on", true]] as const) {
    const { tls } = await tlsTransport(
      "destination",
      settings({ "tls-creds": `pki,verify-peer=${text}` }),
    );
    assertEquals(tls, { folder: "pki", verifyPeer });
  }
});

Deno.test("tlsTransport() reads a file of rules", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, '{"policy": "allow"}');
    const given = settings({ "tls-creds": "x", "tls-authz": path });
    const { tls } = await tlsTransport("destination", given);
    assertEquals(tls?.authorization, { rules: [], policy: "allow" });
    assertEquals((await tlsTransport("source", given)).tls?.authorization, undefined);
    await Deno.writeTextFile(path, "rules");
    await assertRejects(() => tlsTransport("destination", given), SettingError, "not JSON");
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("tlsTransport() refuses what it cannot honour", async () => {
  const refused: [ParameterChanges, string, object?][] = [
    [{ "tls-creds": ",verify-peer=on" }, "the folder is missing"],
    [{ "tls-creds": "x,verify-peer=perhaps" }, '"verify-peer=perhaps" is not understood'],
    [{ "tls-creds": "x,priority=NORMAL" }, '"priority=NORMAL" is not understood'],
    [{ "tls-creds": "x,verify-peer=off", "tls-authz": "CN=a" }, "nobody to let in"],
    [{ "tls-creds": "x", "tls-authz": "authz0" }, "neither a file nor a distinguished name"],
    [{ "tls-creds": "x", "tls-authz": "/nowhere/acl" }, "no such file"],
    [{ "tls-creds": "x" }, "mapped-ram", { "mapped-ram": true }],
  ];
  for (const [parameters, why, capabilities] of refused) {
    const given = settings(parameters, capabilities);
    await assertRejects(() => tlsTransport("destination", given), SettingError, why);
  }
});
