/**
 * Streams through descriptors that each side was started with: one connection between the two, and files.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Descriptor, DescriptorMonitor, errorWords } from "../support/descriptor_monitor.ts";
import { assertSameMemory } from "../support/guest_memory.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { Qemu } from "../support/qemu.ts";
import { TapConnection } from "../support/tap.ts";
import { SweepGuest } from "../support/sweep_guest.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });
const NEEDS = { needs: ["10.0"] } as const;
/** The descriptor that both sides have. */
const FD = 5;
const OFFSET = 0x1000;
const MARKER = new Uint8Array(OFFSET).fill("X".charCodeAt(0));

const NAME = "fd-mig";

/** A QEMU whose guest is at work, and what hands it a descriptor and has it migrate there. */
async function startSource(lab: QemuLab): Promise<{
  readonly source: Qemu;
  migrateTo(descriptor: Descriptor): Promise<void>;
}> {
  const monitor = lab.unix("monitor");
  const source = await lab.qemu("10.0", {
    ...{ name: "source", guest, args: ["-qmp", `${monitor},server=on,wait=off`] },
  });
  await source.serial.waitForHeartbeats(1);
  return {
    source,
    migrateTo: async (descriptor) => {
      using talk = await DescriptorMonitor.connect(monitor);
      const given = await talk.execute("getfd", { fdname: NAME }, descriptor);
      assertEquals(errorWords(given), "");
      descriptor[Symbol.dispose]();
      assertEquals(errorWords(await talk.execute("migrate", { uri: `fd:${NAME}` })), "");
      await source.waitForStatus("completed");
      // It is used up.
      const closed = await talk.execute("closefd", { fdname: NAME });
      assertEquals(errorWords(closed), `File descriptor named '${NAME}' not found`);
    },
  };
}

/** A saved machine to send, and the QEMU it is of. */
async function saved(lab: QemuLab): Promise<{ source: Qemu; image: string }> {
  const source = await lab.qemu("10.0", { name: "source", guest });
  await source.serial.waitForHeartbeats(1);
  await source.stop();
  const image = lab.path("image");
  await source.migrateAndWait(`file:${image}`);
  return { source, image };
}

async function assertSaved(source: Qemu, lab: QemuLab, image: string): Promise<void> {
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, paused: true, incoming: `file:${image}` },
  });
  await destination.waitForStatus("completed");
  await assertSameMemory(source, destination);
}

/** Two that connect to the test, and are connected to each other once both have come. */
class Meeting implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });

  get uri(): string {
    return `tcp:127.0.0.1:${this.#listener.addr.port}`;
  }

  /** What makes a shell connect. */
  get descriptor(): string {
    return `<>/dev/${this.uri.replaceAll(":", "/")}`;
  }

  async arrived(): Promise<Deno.Conn> {
    return await this.#listener.accept();
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

qemuTest("/migration/precopy/fd/tcp: QEMU 10.0 → Ferry", NEEDS, async (lab) => {
  using meeting = new Meeting();
  const image = lab.path("image");
  const { source, migrateTo } = await startSource(lab);
  const keeper = lab.ferry(["receive", `fd:${FD}`, "--save", image], {
    descriptors: { [FD]: meeting.descriptor },
  });
  const server = await meeting.arrived();
  const descriptor = Descriptor.connect(meeting.uri);
  const relay = new TapConnection(false).join(await meeting.arrived(), server);
  await migrateTo(descriptor);
  await keeper.succeeded();
  await relay;
  await assertSaved(source, lab, image);
});

qemuTest("/migration/precopy/fd/tcp: Ferry → QEMU 10.0", NEEDS, async (lab) => {
  using meeting = new Meeting();
  const { source, image } = await saved(lab);
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, paused: true, incoming: `fd:${FD}` },
    descriptors: { [FD]: meeting.descriptor },
  });
  const server = await meeting.arrived();
  const giver = lab.ferry(["send", `fd:${FD}`, "--from", image], {
    descriptors: { [FD]: meeting.descriptor },
  });
  const relay = new TapConnection(false).join(await meeting.arrived(), server);
  await giver.succeeded();
  await destination.waitForStatus("completed");
  await assertSameMemory(source, destination);
  await relay;
});

qemuTest("/migration/precopy/fd/file: QEMU 10.0 → Ferry", NEEDS, async (lab) => {
  const [file, image] = [lab.path("file"), lab.path("image")];
  const { source, migrateTo } = await startSource(lab);
  await migrateTo(Descriptor.create(file));
  await lab.ferry(["receive", `fd:${FD}`, "--save", image], { descriptors: { [FD]: `<${file}` } })
    .succeeded();
  await assertSaved(source, lab, image);
});

qemuTest("/migration/precopy/fd/file: Ferry → QEMU 10.0", NEEDS, async (lab) => {
  const { source, image } = await saved(lab);
  const file = lab.path("file");
  await lab.ferry(["send", `fd:${FD}`, "--from", image], { descriptors: { [FD]: `>${file}` } })
    .succeeded();
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, paused: true, incoming: `fd:${FD}` },
    descriptors: { [FD]: `<${file}` },
  });
  await destination.waitForStatus("completed");
  await assertSameMemory(source, destination);
});

/** QEMU's name for a file that it has as a descriptor, and what gives it that. */
const FDSET = `file:/dev/fdset/1,offset=${OFFSET}`;
const ADD_FD = ["-add-fd", `fd=${FD},set=1`];

qemuTest("/migration/precopy/file/offset/fdset: QEMU 10.0 → Ferry", NEEDS, async (lab) => {
  const [file, image] = [lab.path("file"), lab.path("image")];
  const source = await lab.qemu("10.0", {
    ...{ name: "source", guest, args: ADD_FD, descriptors: { [FD]: `>${file}` } },
  });
  await source.serial.waitForHeartbeats(1);
  await Deno.writeFile(file, MARKER);
  await source.migrateAndWait(FDSET);
  assertEquals((await Deno.readFile(file)).subarray(0, OFFSET), MARKER);
  await lab.ferry(["receive", `file:${file},offset=${OFFSET}`, "--save", image]).succeeded();
  await assertSaved(source, lab, image);
});

qemuTest("/migration/precopy/file/offset/fdset: Ferry → QEMU 10.0", NEEDS, async (lab) => {
  const { source, image } = await saved(lab);
  const file = lab.path("file");
  await Deno.writeFile(file, MARKER);
  await lab.ferry(["send", `file:${file},offset=${OFFSET}`, "--from", image]).succeeded();
  assertEquals((await Deno.readFile(file)).subarray(0, OFFSET), MARKER);
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, paused: true, incoming: FDSET, args: ADD_FD },
    descriptors: { [FD]: `<${file}` },
  });
  await destination.waitForStatus("completed");
  await assertSameMemory(source, destination);
});
