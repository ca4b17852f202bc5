/**
 * TLS with real QEMUs as the other side: the x509 rows of QEMU's own migration tests.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import {
  changeParameters,
  defaultParameters,
  type ParameterChanges,
} from "../../src/control/parameters.ts";
import { StreamFormatError, type TransportError } from "../../src/errors.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { assertSameMemory } from "../support/guest_memory.ts";
import type { QemuLab } from "../support/qemu_lab.ts";
import type { Qemu } from "../support/qemu.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { type Credentials, HOST, tlsObject, tlsQemuTest, useTls } from "../support/tls_qemu.ts";
import { untilTaken } from "./qmp_sides.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });

/** Settings of Ferry's side. */
function settings(parameters: ParameterChanges, multifd = 0) {
  return {
    capabilities: changeCapabilities(defaultCapabilities(), { multifd: multifd > 0 }),
    parameters: changeParameters(defaultParameters(), {
      ...multifd > 0 && { "multifd-channels": multifd },
      ...parameters,
    }),
  };
}

async function setMultifd(qemu: Qemu, channels: number): Promise<void> {
  if (channels === 0) return;
  await qemu.setCapabilities({ multifd: true });
  await qemu.setParameters({ "multifd-channels": channels });
}

/** A QEMU's machine, received over TLS. */
async function receive(
  source: Qemu,
  uri: string,
  ferry: ParameterChanges,
  multifd: number,
): Promise<MachineImage> {
  const target = new ImageTarget(() => Promise.resolve());
  const incoming = new IncomingMigration(target, {
    uri: parseUri(uri),
    ...settings(ferry, multifd),
  });
  await source.migrateAndWait(formatUri(await incoming.listening));
  await incoming.completed;
  return target.image;
}

for (const version of ["10.0", "7.2"] as const) {
  for (const channels of [0, 4]) {
    const kind = channels === 0 ? "precopy" : "multifd";
    tlsQemuTest(
      `/migration/${kind}/tcp/tls/x509/default-host: QEMU ${version} → Ferry → QEMU ${version}`,
      [
        version,
      ],
      async (lab, { folder }) => {
        const source = await lab.qemu(version, {
          ...{ name: "source", guest, args: tlsObject(folder, "client") },
        });
        await setMultifd(source, channels);
        await useTls(source);
        await source.serial.waitForHeartbeats(2);
        const image = await receive(source, "tcp:127.0.0.1:0", { "tls-creds": folder }, channels);

        const destination = await lab.qemu(version, {
          ...{ name: "destination", guest, paused: true, incoming: "defer" },
          args: tlsObject(folder, "server"),
        });
        await setMultifd(destination, channels);
        await useTls(destination);
        await destination.migrateIncoming("tcp:127.0.0.1:0");
        const outgoing = new OutgoingMigration(new ImageSource(image), {
          uri: parseUri(await destination.listening()),
          ...settings({ "tls-creds": folder }, channels),
        });
        assertEquals((await outgoing.completed).status, "completed");
        await destination.waitForStatus("completed");
        await assertSameMemory(source, destination);
        await destination.cont();
        await destination.serial.waitForHeartbeats();
        await destination.stop();
        checkSweep(guest, await destination.readMemory(guest.start, guest.size));
      },
    );
  }
}

/** A machine to send. */
async function someImage(lab: QemuLab): Promise<{ source: Qemu; image: MachineImage }> {
  const source = await lab.qemu("10.0", { name: "source", guest });
  await source.serial.waitForHeartbeats(1);
  return { source, image: await receive(source, lab.unix("image"), {}, 0) };
}

/** One row of QEMU's matrix: what each side is told, and whether they come together. */
interface Row {
  readonly name: string;
  readonly transport: "tcp" | "unix";
  readonly channels?: number;
  /** Which of the folders each side has, by what is wrong with it. @default {"good"} */
  readonly server?: "good" | "elsewhere";
  readonly client?: "good" | "anonymous";
  readonly hostname?: string;
  readonly verifyPeer?: boolean;
  /** Who is let in. */
  readonly identity?: string;
  /** When they do not come together: why Ferry turns a QEMU away, and what it says when it is the source. */
  readonly refused?: { readonly byFerry?: string; readonly ofFerry: RegExp };
}

const FRIEND = "C=GB,O=Ferry,CN=client";
const NOT_FOR = "does not match the hostname";
const LOST = /closed|reset|[Bb]roken pipe|alert|peer/;

const ROWS: readonly Row[] = [
  {
    // There is no host in the URI, so no name suits.
    name: "precopy/unix/tls/x509/default-host",
    transport: "unix",
    refused: { ofFerry: /needs to know the destination.s name/ },
  },
  {
    name: "precopy/unix/tls/x509/override-host",
    transport: "unix",
    hostname: HOST,
  },
  {
    name: "precopy/tcp/tls/x509/override-host",
    transport: "tcp",
    server: "elsewhere",
    hostname: HOST,
  },
  {
    name: "precopy/tcp/tls/x509/mismatch-host",
    transport: "tcp",
    server: "elsewhere",
    refused: { ofFerry: new RegExp(NOT_FOR) },
  },
  { name: "precopy/tcp/tls/x509/friendly-client", transport: "tcp", identity: FRIEND },
  {
    name: "precopy/tcp/tls/x509/hostile-client",
    transport: "tcp",
    identity: "C=GB,O=Ferry,CN=somebody",
    refused: { byFerry: `is not authorised: ${FRIEND}`, ofFerry: LOST },
  },
  {
    name: "precopy/tcp/tls/x509/allow-anon-client",
    transport: "tcp",
    client: "anonymous",
    verifyPeer: false,
  },
  {
    name: "precopy/tcp/tls/x509/reject-anon-client",
    transport: "tcp",
    client: "anonymous",
    refused: { byFerry: "ertificate", ofFerry: LOST },
  },
  {
    name: "multifd/tcp/tls/x509/override-host",
    transport: "tcp",
    channels: 2,
    server: "elsewhere",
    hostname: HOST,
  },
  {
    name: "multifd/tcp/tls/x509/mismatch-host",
    transport: "tcp",
    channels: 2,
    server: "elsewhere",
    refused: { ofFerry: new RegExp(NOT_FOR) },
  },
  {
    name: "multifd/tcp/tls/x509/allow-anon-client",
    transport: "tcp",
    channels: 2,
    client: "anonymous",
    verifyPeer: false,
  },
  {
    name: "multifd/tcp/tls/x509/reject-anon-client",
    transport: "tcp",
    channels: 2,
    client: "anonymous",
    refused: { byFerry: "ertificate", ofFerry: LOST },
  },
];

async function foldersOf(row: Row, { authority, folder }: Credentials) {
  const server = row.server === "elsewhere"
    ? await authority.folder({
      server: await authority.issue("elsewhere", { names: [`DNS:${HOST}`] }),
    })
    : folder;
  const client = row.client === "anonymous" ? await authority.folder({}) : folder;
  return { server, client };
}

for (const row of ROWS) {
  const { name, channels = 0, hostname = "", verifyPeer = true, identity, refused } = row;

  tlsQemuTest(`/migration/${name}: QEMU 10.0 → Ferry`, ["10.0"], async (lab, credentials) => {
    const folders = await foldersOf(row, credentials);
    const source = await lab.qemu("10.0", {
      ...{ name: "source", guest, args: tlsObject(folders.client, "client") },
    });
    await setMultifd(source, channels);
    await useTls(source, { "tls-hostname": hostname });
    await source.serial.waitForHeartbeats(1);
    const target = new ImageTarget(() => Promise.resolve());
    const turnedAway = Promise.withResolvers<TransportError>();
    const incoming = new IncomingMigration(target, {
      uri: parseUri(row.transport === "unix" ? lab.unix() : "tcp:127.0.0.1:0"),
      ...settings({
        "tls-creds": `${folders.server},verify-peer=${verifyPeer ? "on" : "off"}`,
        ...identity !== undefined && { "tls-authz": identity },
      }, channels),
      transport: { onRefused: turnedAway.resolve },
    });
    const uri = formatUri(await incoming.listening);
    if (refused) {
      await source.migrate(uri);
      await source.waitForStatus("failed");
      assertEquals(await source.runState(), "running");
      // QEMU looks at a certificate after its handshake: then it is a source that came and went.
      if (refused.byFerry !== undefined) {
        assertStringIncludes((await turnedAway.promise).message, refused.byFerry);
        assertEquals(incoming.status, "setup");
      }
      if (incoming.status === "setup") incoming.cancel();
      await assertRejects(() => incoming.completed);
    } else {
      await source.migrateAndWait(uri);
      assertEquals((await incoming.completed).status, "completed");
    }
  });

  tlsQemuTest(`/migration/${name}: Ferry → QEMU 10.0`, ["10.0"], async (lab, credentials) => {
    const folders = await foldersOf(row, credentials);
    const { source, image } = await someImage(lab);
    const destination = await lab.qemu("10.0", {
      ...{ name: "destination", guest, paused: true, incoming: "defer" },
      args: [
        ...tlsObject(folders.server, "server", verifyPeer),
        ...identity === undefined
          ? []
          : ["-object", `authz-simple,id=authz0,identity=${identity.replaceAll(",", ",,")}`],
      ],
    });
    await setMultifd(destination, channels);
    await useTls(destination, identity === undefined ? {} : { "tls-authz": "authz0" });
    await destination.migrateIncoming(row.transport === "unix" ? lab.unix() : "tcp:127.0.0.1:0");
    const machine = new ImageSource(image);
    const outgoing = new OutgoingMigration(machine, {
      uri: parseUri(await destination.listening()),
      ...settings({ "tls-creds": folders.client, "tls-hostname": hostname }, channels),
    });
    if (refused) {
      const error = await assertRejects(() => outgoing.completed);
      assert(error instanceof Error && refused.ofFerry.test(error.message), String(error));
      assertEquals(outgoing.status, "failed");
    } else {
      await outgoing.completed;
      await destination.waitForStatus("completed");
      await assertSameMemory(source, destination);
    }
  });
}

tlsQemuTest("A QEMU source without TLS, and one with TLS where there is none", [
  "10.0",
], async (lab, { folder }) => {
  const source = await lab.qemu("10.0", {
    ...{ name: "source", guest, args: tlsObject(folder, "client") },
  });
  await source.serial.waitForHeartbeats(1);
  const turnedAway = Promise.withResolvers<TransportError>();
  const encrypted = new IncomingMigration(new ImageTarget(() => Promise.resolve()), {
    uri: parseUri("tcp:127.0.0.1:0"),
    ...settings({ "tls-creds": folder }),
    transport: { onRefused: turnedAway.resolve },
  });
  await source.migrate(formatUri(await encrypted.listening));
  await turnedAway.promise;
  await source.waitForStatus("failed");

  const plain = new IncomingMigration(new ImageTarget(() => Promise.resolve()), {
    uri: parseUri("tcp:127.0.0.1:0"),
    ...settings({}),
  });
  await useTls(source);
  await source.migrate(formatUri(await plain.listening));
  await source.waitForStatus("failed");
  const error = await assertRejects(() => plain.completed, StreamFormatError);
  assertStringIncludes(error.advice ?? "", "speaks TLS");
  assertEquals(await source.runState(), "running");

  // And with what the destination has, the same machine moves.
  await source.migrateAndWait(formatUri(await encrypted.listening));
  await encrypted.completed;
});

for (const version of ["10.0", "7.2"] as const) {
  tlsQemuTest(`TLS without a return path, from Ferry to QEMU ${version}`, [
    "10.0",
    version,
  ], async (lab, { folder }) => {
    const { source, image } = await someImage(lab);
    const destination = await lab.qemu(version, {
      ...{ name: "destination", guest, paused: true, incoming: "defer" },
      args: tlsObject(folder, "server"),
    });
    await useTls(destination);
    await destination.migrateIncoming("tcp:127.0.0.1:0");
    const { capabilities, parameters } = settings({ "tls-creds": folder });
    const outgoing = new OutgoingMigration(new ImageSource(image), {
      uri: parseUri(await destination.listening()),
      capabilities: changeCapabilities(capabilities, { "return-path": false }),
      parameters,
    });
    assertEquals((await outgoing.completed).status, "completed");
    await destination.waitForStatus("completed");
    await assertSameMemory(source, destination);
  });
}

for (const channels of [0, 2]) {
  tlsQemuTest(
    `What a destination that listens already is told of TLS holds for who connects then, with ${channels} channels`,
    ["10.0"],
    async (lab, { folder }) => {
      const source = await lab.qemu("10.0", {
        ...{ name: "source", guest, args: tlsObject(folder, "client") },
      });
      await setMultifd(source, channels);
      await useTls(source);
      await source.serial.waitForHeartbeats(1);

      // QEMU itself.
      const destination = await lab.qemu("10.0", {
        ...{ name: "destination", guest, paused: true, incoming: "defer" },
        args: tlsObject(folder, "server"),
      });
      await setMultifd(destination, channels);
      await destination.migrateIncoming("tcp:127.0.0.1:0");
      await useTls(destination);
      await source.migrateAndWait(await destination.listening());
      await source.waitForRunState("postmigrate");
      await source.cont();

      const target = new ImageTarget(() => Promise.resolve());
      const control = new MigrationControl({ target: () => target });
      control.setCapabilities({ multifd: channels > 0 });
      control.setParameters({ "multifd-channels": Math.max(1, channels) });
      const incoming = control.migrateIncoming("tcp:127.0.0.1:0");
      const uri = formatUri(await incoming.listening);
      control.setParameters({ "tls-creds": folder, "tls-authz": "C=GB,CN=nobody" });
      await source.migrate(uri);
      await source.waitForStatus("failed");
      assertEquals(control.status, "setup");
      control.setParameters({ "tls-authz": FRIEND });
      await untilTaken(() => source.migrate(uri)); // QEMU says that it has failed before it has tidied up
      await source.waitForStatus("completed");
      assertEquals((await incoming.completed).status, "completed");
      await control.cleanedUp();
    },
  );
}
