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
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import {
  changeParameters,
  defaultParameters,
  type ParameterChanges,
} from "../../src/control/parameters.ts";
import { TransportError } from "../../src/errors.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { Authority, missingOpenssl } from "../support/certificates.ts";
import { assertSameMemory } from "../support/guest_memory.ts";
import { QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { Qemu } from "../support/qemu.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });
const HOST = "qemu.test";

interface Credentials {
  readonly authority: Authority;
  /** With a server's certificate for {@linkcode HOST} and 127.0.0.1, and a client's. */
  readonly folder: string;
}

async function credentials(lab: QemuLab): Promise<Credentials> {
  const authority = lab.use(await Authority.create());
  const server = await authority.issue("server", { names: [`DNS:${HOST}`, "IP:127.0.0.1"] });
  const client = await authority.issue("client");
  return { authority, folder: await authority.folder({ server, client }) };
}

/** Registers a test with QEMUs and certificates. */
function tlsQemuTest(
  name: string,
  needs: readonly QemuVersion[],
  fn: (lab: QemuLab, credentials: Credentials) => Promise<void>,
): void {
  const missing = missingOpenssl();
  const required = Deno.env.get("FERRY_REQUIRE_OPENSSL") === "1";
  qemuTest(missing ? `${name} (skipped: ${missing})` : name, {
    needs,
    ignore: missing !== undefined && !required,
  }, async (lab) => await fn(lab, await credentials(lab)));
}

/** QEMU's credentials object, and what its parameters say of it. */
function tlsObject(folder: string, endpoint: "client" | "server", verifyPeer = true): string[] {
  const verify = verifyPeer ? "on" : "off";
  return [
    "-object",
    `tls-creds-x509,id=tls0,dir=${folder},endpoint=${endpoint},verify-peer=${verify}`,
  ];
}

async function useTls(qemu: Qemu, parameters: Record<string, string> = {}): Promise<void> {
  await qemu.setParameters({ "tls-creds": "tls0", ...parameters });
}

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
    tlsQemuTest(`/migration/${kind}/tcp/tls/x509/default-host, QEMU ${version}, both ways`, [
      version,
    ], async (lab, { folder }) => {
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
    });
  }
}
