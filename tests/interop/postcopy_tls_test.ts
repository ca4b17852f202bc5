/**
 * Postcopy over TLS with real QEMUs as the other side: the TLS rows of QEMU's own migration tests, with
 * certificates in place of its pre-shared keys.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { openImage } from "../../src/image/open_image.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";
import { tlsObject, tlsQemuTest, useTls } from "../support/tls_qemu.ts";
import { assertSameAsSource, Destination } from "./ferry_destination.ts";
import { savedByQemu, Statuses } from "./ferry_source.ts";
import { TouchingTarget } from "./touching_target.ts";
import "../support/load_libc.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");
const MIB = 1024 ** 2;
const guest = new SweepGuest({ size: 12 * MIB, fill: 1024, paceMs: 5 });

/** Each with its own machine: that decides when a preempt channel is opened and how it ends. */
const QEMUS = [
  { version: "10.0", machine: "pc-i440fx-10.0" },
  { version: "7.2", machine: "pc-i440fx-7.2" },
] as const;

for (const { version, machine } of QEMUS) {
  for (const preempt of [false, true]) {
    const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
    for (const breaks of [false, true]) {
      const path = `/migration/postcopy${preempt ? "/preempt" : ""}${breaks ? "/recovery" : ""}` +
        "/tls/psk";

      tlsQemuTest(
        `${path}: QEMU ${version} → Ferry, with certificates`,
        [version],
        async (lab, { folder }) => {
          const source = await lab.qemu(version, {
            ...{ name: "source", guest, machine, ram: "32M", args: tlsObject(folder, "client") },
          });
          await source.setCapabilities(capabilities);
          // Slow enough for a switch in the middle of the first round, and for a loss after it.
          await source.setParameters({
            "max-bandwidth": 4 * MIB,
            ...breaks && { "max-postcopy-bandwidth": MIB },
          });
          await useTls(source);
          await source.serial.waitForHeartbeats(1);
          const target = lab.use(new TouchingTarget());
          const { parameters } = settings({}, { "tls-creds": folder });
          const destination = lab.use(new Destination(target, capabilities, { parameters }));
          const { incoming } = destination;
          const tap = lab.use(new Tap({ to: formatUri(await incoming.listening) }));
          await source.migrate(tap.uri);
          await source.waitForStatus("active");
          await source.execute("migrate-start-postcopy");
          if (breaks) {
            const losses = [() => tap.cut(), () => source.execute("migrate-pause", {}, "exec-oob")];
            for (const [i, lose] of losses.entries()) {
              await target.touchedSome(500 * (i + 1));
              await lose();
              await source.waitForStatus("postcopy-paused");
              await destination.reached("postcopy-paused", i + 1);
              const uri = await incoming.recover(ANY_PORT);
              await source.migrate(formatUri(uri), { resume: true });
              await destination.reached("postcopy-recover", i + 1);
              await source.waitForStatus("postcopy-active");
            }
            await source.setParameters({ "max-postcopy-bandwidth": 0 });
          }
          await source.waitForStatus("completed");
          await incoming.completed;
          await target.touched;
          await assertSameAsSource(source, destination, guest);
          assertEncrypted(tap, preempt ? 2 : 1);
          const { ram } = await source.queryMigrate();
          // Without a limit, all may have come before it is asked for.
          if (breaks) assert((ram?.["postcopy-requests"] ?? 0) > 0);
        },
      );

      tlsQemuTest(
        `${path}: Ferry → QEMU ${version}, with certificates`,
        [version],
        async (lab, { folder }) => {
          const image = await openImage(await savedByQemu(lab, version, guest, { machine }));
          const destination = await lab.qemu(version, {
            ...{ name: "destination", guest, machine, incoming: "defer" },
            args: tlsObject(folder, "server"),
          });
          await destination.setCapabilities(capabilities);
          await useTls(destination);
          await destination.migrateIncoming("tcp:127.0.0.1:0");
          const tap = lab.use(new Tap({ to: await destination.listening() }));
          const statuses = new Statuses();
          // A socket's path is not the name in the certificate.
          const tls = { "tls-creds": folder, "tls-hostname": "127.0.0.1" };
          const outgoing = new OutgoingMigration(new ImageSource(image), {
            uri: parseUri(tap.uri),
            onEvent: statuses.on,
            ...settings(capabilities, { ...tls, ...breaks && { "max-postcopy-bandwidth": MIB } }),
          });
          outgoing.startPostcopy();
          if (breaks) {
            for (const lose of [() => tap.cut(), () => outgoing.pause()]) {
              await statuses.next("postcopy-active");
              await destination.serial.waitForHeartbeats(1);
              lose();
              await statuses.next("postcopy-paused");
              await destination.waitForStatus("postcopy-paused");
              await destination.execute("migrate-recover", { uri: lab.unix("again") }, "exec-oob");
              outgoing.resume(parseUri(lab.unix("again")));
            }
            outgoing.setParameters(settings({}, tls).parameters);
          }
          await statuses.completed(outgoing);
          await destination.waitForStatus("completed");
          await destination.serial.waitForHeartbeats();
          await destination.stop();
          checkSweep(guest, await destination.readMemory(guest.start, guest.size));
          assertEncrypted(tap, preempt ? 2 : 1);
          if (breaks) assert(outgoing.info().ram!["postcopy-requests"] > 0);
        },
      );
    }
  }
}

/** Each of the first connections began with a handshake of TLS: a record of type 22, of version 3.x. */
function assertEncrypted(tap: Tap, connections: number): void {
  for (let i = 0; i < connections; i++) {
    for (const flow of [tap.forward(i), tap.back(i)]) {
      assertEquals([...flow.bytes.subarray(0, 2)], [22, 3], `connection ${i}`);
    }
  }
}
