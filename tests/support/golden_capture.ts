/**
 * The ways in which streams of `tests/golden` are captured.
 *
 * @module
 */
import type { GoldenRecipe } from "./golden_recipes.ts";
import type { Qemu } from "./qemu.ts";
import type { QemuLab } from "./qemu_lab.ts";
import { saveStream } from "./save_stream.ts";
import { Tap } from "./tap.ts";

/** The recorded bytes by the names of files or channels. */
export type Parts = Record<string, Uint8Array<ArrayBuffer>>;

/** So slow that a postcopy is still going on when it is looked at, in bytes per second. */
const SLOW = 100_000;
/** How many bytes go in precopy. */
const PRECOPY_BYTES = 20_000;
/** How many bytes the return path carries until some pages have been requested. */
const REQUEST_BYTES = 150;
const DISK_SIZE = 64 * 1024 ** 2;
const MULTIFD_MAGIC = 0x11223344;

/** From a running source to nobody. */
export async function captureStream(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  return { main: await saveStream(await startSource(lab, recipe), lab.dir) };
}

/** From a running source to a file that it can seek in. */
export async function captureFile(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  const source = await startSource(lab, recipe);
  await source.migrateAndWait(`file:${lab.path("file")}`);
  return { main: await Deno.readFile(lab.path("file")) };
}

/** From a source whose disk has two bitmaps, to nobody. */
export async function captureDirtyBitmaps(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  await makeDisk(lab);
  const source = await startSource(lab, recipe);
  await addBitmaps(source);
  return { main: await saveStream(source, lab.dir) };
}

/** The same between two QEMUs, with the bitmaps after the switch. */
export async function captureBitmapsInPostcopy(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  await makeDisk(lab);
  const { source, destination, tap } = await connectPair(lab, recipe);
  await addBitmaps(source);
  await source.migrate(tap.uri);
  await source.execute("migrate-start-postcopy");
  await source.waitForStatus("postcopy-active");
  await source.waitForStatus("completed");
  await destination.waitForStatus("completed");
  await tap.connection().done;
  return { main: tap.forward().bytes, "main.back": tap.back().bytes };
}

/** Between two QEMUs, with both directions. */
export async function captureReturnPath(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  const { source, destination, tap } = await connectPair(lab, recipe);
  await source.migrateAndWait(tap.uri);
  await destination.waitForStatus("completed");
  await tap.connection().done;
  return { main: tap.forward().bytes, "main.back": tap.back().bytes };
}

/** Between two QEMUs; channels are named by the numbers they introduce themselves with. */
export async function captureMultifd(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  const { source, destination, tap } = await connectPair(lab, recipe);
  await source.migrateAndWait(tap.uri);
  await destination.waitForStatus("completed");
  const parts: Parts = {};
  for (let i = 0; i < tap.accepted; i++) {
    await tap.connection(i).done;
    const { bytes } = tap.forward(i);
    const isChannel = new DataView(bytes.buffer).getUint32(0) === MULTIFD_MAGIC;
    parts[isChannel ? `multifd-${bytes[24]}` : "main"] = bytes;
  }
  return parts;
}

/** Between two QEMUs, most of it after the switch; connection 1 is there with preempt only. */
export async function capturePostcopy(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  const { source, destination, tap } = await connectPair(lab, recipe);
  await switchToPostcopy(source, tap);
  await source.setParameters({ "max-postcopy-bandwidth": 0 });
  await source.waitForStatus("completed");
  await destination.waitForStatus("completed");
  await tap.connection().done;
  const parts: Parts = { main: tap.forward().bytes, "main.back": tap.back().bytes };
  if (tap.accepted > 1) {
    await tap.connection(1).done;
    parts["preempt"] = tap.forward(1).bytes;
  }
  return parts;
}

/** Between two QEMUs, on two connections. */
export async function captureRecovery(lab: QemuLab, recipe: GoldenRecipe): Promise<Parts> {
  const { source, destination, tap } = await connectPair(lab, recipe);
  await switchToPostcopy(source, tap);
  tap.cut();
  await source.waitForStatus("postcopy-paused");
  await destination.waitForStatus("postcopy-paused");
  const again = lab.use(new Tap({ to: lab.unix("recover") }));
  await destination.execute("migrate-recover", { uri: lab.unix("recover") }, "exec-oob");
  await source.migrate(again.uri, { resume: true });
  await source.waitForStatus("postcopy-active");
  await source.setParameters({ "max-postcopy-bandwidth": 0 });
  await source.waitForStatus("completed");
  await destination.waitForStatus("completed");
  await again.connection().done;
  return {
    ...{ main: tap.forward().bytes, "main.back": tap.back().bytes },
    ...{ recover: again.forward().bytes, "recover.back": again.back().bytes },
  };
}

async function startSource(lab: QemuLab, recipe: GoldenRecipe): Promise<Qemu> {
  const machine = recipe.machine(lab.dir);
  const source = await lab.qemu(recipe.version, { ...machine, name: "source" });
  if (machine.guest) await source.serial.waitForHeartbeats();
  await configure(source, recipe);
  return source;
}

async function connectPair(
  lab: QemuLab,
  recipe: GoldenRecipe,
): Promise<{ source: Qemu; destination: Qemu; tap: Tap }> {
  const source = await startSource(lab, recipe);
  const destination = await lab.qemu(recipe.version, {
    ...recipe.machine(lab.dir),
    ...{ name: "destination", incoming: "defer" },
  });
  await configure(destination, recipe);
  await destination.migrateIncoming(lab.unix());
  return { source, destination, tap: lab.use(new Tap({ to: lab.unix() })) };
}

async function configure(qemu: Qemu, { capabilities, parameters }: GoldenRecipe): Promise<void> {
  if (parameters) await qemu.setParameters(parameters);
  if (!capabilities) return;
  await qemu.setCapabilities(Object.fromEntries(capabilities.map((name) => [name, true])));
}

async function switchToPostcopy(source: Qemu, tap: Tap): Promise<void> {
  await source.setParameters({ "max-bandwidth": SLOW, "max-postcopy-bandwidth": SLOW });
  await source.migrate(tap.uri);
  await tap.forward().waitFor(PRECOPY_BYTES);
  await source.execute("migrate-start-postcopy");
  await source.waitForStatus("postcopy-active");
  await tap.back().waitFor(REQUEST_BYTES);
}

async function makeDisk(lab: QemuLab): Promise<void> {
  using file = await Deno.create(lab.path("disk"));
  await file.truncate(DISK_SIZE);
}

async function addBitmaps(source: Qemu): Promise<void> {
  for (const [name, disabled] of [["written", false], ["idle", true]] as const) {
    await source.execute("block-dirty-bitmap-add", { node: "disk", name, disabled });
  }
  await source.hmp('qemu-io disk "write 1M 192k"');
}
