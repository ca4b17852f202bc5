/**
 * Recoveries of a postcopy that fail on their way: both sides are paused as before, and the next one works.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ImageTarget } from "../../src/control/image_target.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { ImageSource } from "../../src/control/image_source.ts";
import { openImage } from "../../src/image/open_image.ts";
import { describeDifference } from "../support/guest_memory.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import { saveStream } from "../support/save_stream.ts";
import { closeQuietly, connectTo, listenOn, writeAll } from "../support/sockets.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { type QmpSide, serve, setCapabilities, untilTaken } from "./qmp_sides.ts";

const MIB = 1024 ** 2;
const guest = new SweepGuest({ size: 12 * MIB, fill: 1024, paceMs: 5 });
const NEEDS = { needs: ["10.0"] } as const;
/** Pages come for some seconds, unless somebody says otherwise. */
const SLOW = { "max-bandwidth": 4 * MIB, "max-postcopy-bandwidth": MIB };
/** What every recovery begins with: a command. */
const FIRST_BYTE = Uint8Array.of(0x08);

/** A source and a destination with the same settings. */
interface Sides {
  readonly source: QmpSide;
  readonly destination: QmpSide;
}

const oob = (side: QmpSide, command: string, args = {}) => side.execute(command, args, "exec-oob");

async function bothAre(status: string, { source, destination }: Sides): Promise<void> {
  await Promise.all([source, destination].map((side) => side.events.waitForStatus(status)));
}

/** Begins a migration and loses its connection while the machine runs at the destination. */
async function pause(sides: Sides, uri: string): Promise<void> {
  const { source, destination } = sides;
  for (const side of [source, destination]) await setCapabilities(side, { "postcopy-ram": true });
  await source.execute("migrate-set-parameters", SLOW);
  await destination.execute("migrate-incoming", { uri });
  await source.execute("migrate", { uri });
  await source.events.waitForStatus("active");
  await source.execute("migrate-start-postcopy");
  await bothAre("postcopy-active", sides);
  await oob(source, "migrate-pause");
  await bothAre("postcopy-paused", sides);
}

/**
 * Each side is told to go on over a connection with nobody at its other end. The destination's may say what
 * every recovery begins with, so that it believes that this is one; then both wait, until they are paused.
 */
async function failTheHandshake(sides: Sides, lab: QemuLab): Promise<void> {
  const { source, destination } = sides;
  const { listener, uri } = listenOn(lab.unix("silent"));
  const accepted = listener.accept();
  await oob(destination, "migrate-recover", { uri: lab.unix("deceived") });
  const toDestination = await connectTo(lab.unix("deceived"));
  await writeAll(toDestination, FIRST_BYTE);
  await source.execute("migrate", { uri, resume: true });
  await bothAre("postcopy-recover", sides);
  await oob(source, "migrate-pause");
  await oob(destination, "migrate-pause");
  await bothAre("postcopy-paused", sides);
  [await accepted, toDestination, listener].forEach(closeQuietly);
}

/** The destination's connection ends before it has said anything, and the source gets none. */
async function failToReconnect({ source, destination }: Sides, lab: QemuLab): Promise<void> {
  await oob(destination, "migrate-recover", { uri: lab.unix("mute") });
  closeQuietly(await connectTo(lab.unix("mute")));
  // QEMU answers when it has failed, Ferry when it has begun.
  await source.execute("migrate", { uri: lab.unix("nobody"), resume: true }).catch(() => {});
  await source.events.waitForStatus("postcopy-paused");
}

/** And then all goes well, as soon as the destination has noticed the failure, if it notices it. */
async function recover(sides: Sides, uri: string): Promise<void> {
  const { source, destination } = sides;
  await untilTaken(() => oob(destination, "migrate-recover", { uri }));
  await source.execute("migrate", { uri, resume: true });
  await source.events.waitForStatus("postcopy-active");
  await source.execute("migrate-set-parameters", { "max-postcopy-bandwidth": 0 });
  await bothAre("completed", sides);
}

const FAILURES = { handshake: failTheHandshake, reconnect: failToReconnect };

for (const [name, fail] of Object.entries(FAILURES)) {
  const path = `/migration/postcopy/recovery/double-failures/${name}`;

  qemuTest(`${path}: QEMU 10.0 → Ferry`, NEEDS, async (lab) => {
    const source = await lab.qemu("10.0", { name: "source", guest });
    await source.serial.waitForHeartbeats(1);
    const target = new ImageTarget(() => Promise.resolve());
    const control = new MigrationControl({ target: () => target });
    const sides = { source, destination: await serve(lab, { control }) };
    await pause(sides, lab.unix("first"));
    await fail(sides, lab);
    await recover(sides, lab.unix("last"));
    const here = Uint8Array.from(target.image.ram.block("pc.ram")!.view(guest.start, guest.size));
    const there = await source.readMemory(guest.start, guest.size);
    assertEquals(describeDifference(there, here, guest.start), undefined);
    checkSweep(guest, here);
  });

  qemuTest(`${path}: Ferry → QEMU 10.0`, NEEDS, async (lab) => {
    const saved = await lab.qemu("10.0", { name: "saved", guest });
    await saved.serial.waitForHeartbeats(1);
    await Deno.writeFile(lab.path("image"), await saveStream(saved, lab.dir));
    const image = await openImage(lab.path("image"));
    const control = new MigrationControl({ source: () => new ImageSource(image) });
    const destination = await lab.qemu("10.0", {
      ...{ name: "destination", guest, incoming: "defer" },
    });
    const sides = { source: await serve(lab, { control }), destination };
    await pause(sides, lab.unix("first"));
    await fail(sides, lab);
    await recover(sides, lab.unix("last"));
    await destination.serial.waitForHeartbeats();
    await destination.stop();
    checkSweep(guest, await destination.readMemory(guest.start, guest.size));
  });
}
