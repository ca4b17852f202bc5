/**
 * Mapped-ram files between QEMU 10.0 and Ferry: each loads what the other wrote. The tests have the names that
 * QEMU's own `migration-test` gives to these cases.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Descriptor, DescriptorMonitor, errorWords } from "../support/descriptor_monitor.ts";
import { assertSameMemory } from "../support/guest_memory.ts";
import type { Qemu } from "../support/qemu.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import { QmpCommandError } from "../support/qmp_client.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });

/** What a test does the same way with QEMU and with Ferry. */
interface Case {
  readonly multifd: boolean;
  /** Whether the guest writes while its pages are written. */
  readonly live: boolean;
  readonly direct?: boolean;
  /** Whether QEMU has the file as a descriptor. */
  readonly fdset?: boolean;
}

const CASES: Readonly<Record<string, Case>> = {
  "/migration/precopy/file/mapped-ram": { multifd: false, live: false },
  "/migration/precopy/file/mapped-ram/live": { multifd: false, live: true },
  "/migration/multifd/file/mapped-ram": { multifd: true, live: false },
  "/migration/multifd/file/mapped-ram/live": { multifd: true, live: true },
  "/migration/multifd/file/mapped-ram/dio": { multifd: true, live: false, direct: true },
  "/migration/multifd/file/mapped-ram/fdset": { multifd: true, live: false, fdset: true },
  "/migration/multifd/file/mapped-ram/fdset/dio": {
    ...{ multifd: true, live: false, fdset: true, direct: true },
  },
};

async function set(qemu: Qemu, { multifd, direct = false }: Case): Promise<void> {
  await qemu.setCapabilities({ "mapped-ram": true, multifd });
  if (multifd) await qemu.setParameters({ "multifd-channels": 4, "direct-io": direct });
}

function options({ multifd, direct = false }: Case): string[] {
  const channels = ["-c", "multifd", "-p", "multifd-channels=4", "-p", `direct-io=${direct}`];
  return ["-c", "mapped-ram=on", ...multifd ? channels : []];
}

/** A descriptor in QEMU. */
const FD = 5;

/** A file as QEMU is to open it, and what QEMU is started with and given for that. */
function opened(lab: QemuLab, how: Case, path: string, redirection: "<" | ">", offset = 0) {
  const { fdset, direct } = how;
  const uri = fdset ? `file:/dev/fdset/1,offset=${offset}` : `file:${path},offset=${offset}`;
  if (!fdset || !direct) {
    const args = fdset ? ["-add-fd", `fd=${FD},set=1`] : [];
    const descriptors = fdset ? { [FD]: `${redirection}${path}` } : {};
    return { uri, start: { args, descriptors }, give: () => Promise.resolve() };
  }
  const monitor = lab.unix(`monitor-${lab.resources.length}`);
  const give = async () => {
    const talk = lab.use(await DescriptorMonitor.connect(monitor));
    // The main channel's is an ordinary one.
    for (const around of [false, true]) {
      using descriptor = Descriptor.open(path, redirection, around);
      const given = await talk.execute("add-fd", { "fdset-id": 1 }, descriptor);
      assertEquals(errorWords(given), "");
    }
  };
  return { uri, start: { args: ["-qmp", `${monitor},server=on,wait=off`] }, give };
}

/** A QEMU that runs for a while and is then in a file. */
async function writeFile(lab: QemuLab, how: Case, path: string): Promise<Qemu> {
  const { uri, start, give } = opened(lab, how, path, ">");
  const source = await lab.qemu("10.0", { name: "source", guest, ...start });
  await give();
  await set(source, how);
  await source.serial.waitForHeartbeats(2);
  if (!how.live) await source.stop();
  await source.migrateAndWait(uri);
  await source.waitForRunState("postmigrate");
  return source;
}

/** A QEMU that has loaded a file, and has the same memory as another. */
async function loadFile(
  lab: QemuLab,
  how: Case,
  path: string,
  source: Qemu,
  offset = 0,
): Promise<Qemu> {
  const { uri, start, give } = opened(lab, how, path, "<", offset);
  const destination = await lab.qemu("10.0", {
    ...{ name: path, guest, incoming: "defer", paused: true, ...start },
  });
  await give();
  await set(destination, how);
  await destination.migrateIncoming(uri);
  await destination.waitForStatus("completed");
  await destination.waitForRunState("paused");
  await assertSameMemory(source, destination);
  return destination;
}

async function assertRuns(qemu: Qemu): Promise<void> {
  await qemu.cont();
  await qemu.serial.waitForHeartbeats();
  await qemu.stop();
  checkSweep(guest, await qemu.readMemory(guest.start, guest.size));
}

for (const [path, how] of Object.entries(CASES)) {
  qemuTest(`${path}: QEMU 10.0 → Ferry → QEMU 10.0`, { needs: ["10.0"] }, async (lab) => {
    const [first, second] = [lab.path("first"), lab.path("second")];
    const source = await writeFile(lab, how, first);
    const before = await Deno.readFile(first);
    const keep = ["--save", second, "--format", "mapped-ram"];
    await lab.ferry(["receive", `file:${first}`, ...options(how), ...keep]).succeeded();
    await assertRuns(await loadFile(lab, how, second, source));
    // What it was made of is as it was.
    assertEquals(await Deno.readFile(first), before);
  });

  qemuTest(`${path}: Ferry → QEMU 10.0`, { needs: ["10.0"] }, async (lab) => {
    const [first, second] = [lab.path("first"), lab.path("second")];
    const source = await writeFile(lab, how, first);
    // Behind something else, which stays.
    await Deno.writeTextFile(second, "x".repeat(5000));
    const uri = `file:${second},offset=4096`;
    await lab.ferry(["send", uri, ...options(how), "--from", first]).succeeded();
    await assertRuns(await loadFile(lab, how, second, source, 4096));
    const head = await Deno.readFile(second);
    assert(head.subarray(0, 4096).every((byte) => byte === "x".charCodeAt(0)));
  });
}

const WAYS: Readonly<Record<string, readonly [Record<string, boolean>, readonly string[]]>> = {
  "a stream": [{}, []],
  "a stream with multifd": [{ multifd: true }, ["-c", "multifd"]],
  "postcopy from the start": [
    { "postcopy-ram": true },
    ["-c", "postcopy-ram", "--postcopy-after", "0"],
  ],
};

for (const [way, [capabilities, args]] of Object.entries(WAYS)) {
  qemuTest(
    `A mapped-ram file of QEMU's goes to QEMU as ${way}`,
    { needs: ["10.0"] },
    async (lab) => {
      const image = lab.path("image");
      const source = await writeFile(lab, { multifd: true, live: true }, image);
      const before = await Deno.readFile(image);
      const destination = await lab.qemu("10.0", {
        ...{ name: "destination", guest, incoming: "defer", paused: true },
      });
      await destination.setCapabilities(capabilities);
      await destination.migrateIncoming("tcp:127.0.0.1:0");
      const uri = await destination.listening();
      await lab.ferry(["send", uri, "--from", image, ...args]).succeeded();
      await destination.waitForStatus("completed");
      await destination.waitForRunState("paused");
      await assertSameMemory(source, destination);
      await assertRuns(destination);
      assertEquals(await Deno.readFile(image), before);
    },
  );
}

qemuTest("What QEMU sends as a stream is kept as a sparse mapped-ram file that it loads", {
  needs: ["10.0"],
}, async (lab) => {
  const source = await lab.qemu("10.0", { name: "source", guest, ram: "512M" });
  await source.serial.waitForHeartbeats(2);
  const image = lab.path("image");
  const args = ["receive", "tcp:127.0.0.1:0", "--save", image, "--format", "mapped-ram"];
  const keeper = lab.ferry(args);
  await source.migrateAndWait(await keeper.listening());
  await keeper.succeeded();
  const { size, blocks } = await Deno.stat(image);
  assert(size > 512 * 1024 ** 2 && blocks! * 512 < 64 * 1024 ** 2, `${blocks} blocks of ${size}`);
  const how = { multifd: false, live: true };
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, ram: "512M", incoming: "defer", paused: true },
  });
  await set(destination, how);
  await destination.migrateIncoming(`file:${image}`);
  await destination.waitForStatus("completed");
  await destination.waitForRunState("paused");
  await assertSameMemory(source, destination);
  await assertRuns(destination);
});

qemuTest("QEMU and Ferry refuse the same transports, and a capability on one side only", {
  needs: ["10.0"],
}, async (lab) => {
  const how = { multifd: false, live: false };
  const image = lab.path("image");
  const source = await writeFile(lab, how, image);
  const refused = await assertRejects(
    () => source.migrate(`exec:cat > ${lab.path("other")}`),
    QmpCommandError,
  );
  const reason = "Migration requires seekable transport (e.g. file)";
  assertStringIncludes(refused.message, reason);
  const sending = lab.ferry(["send", "exec:cat", "-c", "mapped-ram=on", "--from", image]);
  const { code, stderr } = await sending.finished();
  assert(code !== 0);
  assertStringIncludes(stderr, reason);
  const off = await lab.ferry(["receive", `file:${image}`, "--discard"]).finished();
  assertEquals(off.code, 1);
  assertStringIncludes(off.stderr, "Capability mapped-ram is on at the source and off here");
});
