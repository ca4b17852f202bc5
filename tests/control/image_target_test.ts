import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { IncompatibleError, StateError, StreamFormatError } from "../../src/errors.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { LoadContext } from "../../src/savevm/load.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { ElementType, writeSectionFooter } from "../../src/wire/section.ts";
import { GOLDEN_RECIPES } from "../support/golden_recipes.ts";
import { readGolden } from "../support/golden.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { settings } from "./fixtures/pair.ts";

const HEADER = {
  type: ElementType.SECTION_FULL,
  sectionId: 5,
  idstr: "serial",
  instanceId: 0,
  versionId: 3,
} as const;

async function imageTarget(keep = (_: MachineImage) => Promise.resolve()): Promise<ImageTarget> {
  const target = new ImageTarget(keep);
  target.configuration({ machine: "pc" });
  await target.prepareRam([{ name: "pc.ram", length: 8192 }], 2);
  return target;
}

const CONTEXT = new LoadContext({
  configuration: () => {},
  section: () => ({ load: () => Promise.resolve() }),
  command: () => Promise.resolve("continue"),
});

function stream(payload: Uint8Array): ByteReader {
  const writer = new ByteWriter().bytes(payload);
  writeSectionFooter(writer, HEADER.sectionId);
  return ByteReader.of(writer.u8(ElementType.EOF).take());
}

Deno.test("ImageTarget has no image before the list of blocks, and says so", async () => {
  const target = new ImageTarget(() => Promise.resolve());
  target.configuration({ machine: "pc" });
  assertThrows(() => target.image, StateError);
  assertThrows(() => target.section(HEADER), StateError, "no RAM section");
  assertThrows(() => target.switchoverStart(), StateError);
  await assertRejects(() => target.complete(Promise.resolve(undefined)), StateError);
});

Deno.test("ImageTarget keeps sections byte for byte, in order", async () => {
  const kept: MachineImage[] = [];
  const target = await imageTarget((image) => Promise.resolve(void kept.push(image)));
  for (const fill of [1, 2]) {
    const payload = new Uint8Array(100 * fill).fill(fill);
    await target.section(HEADER).load(stream(payload), "full", CONTEXT);
  }
  target.switchoverStart();
  const description = new TextEncoder().encode("not JSON");
  assertEquals(await target.complete(Promise.resolve(description)), false);
  assertEquals(kept, [target.image]);
  assertEquals(target.image.sections.map(({ payload }) => payload.length), [100, 200]);
  assertEquals(target.image.sections[1]!.header, HEADER);
  assertEquals(target.image.description, description);
  assertEquals(target.image.hasSwitchoverStart, true);
  assertEquals(target.image.ramSectionId, 2);
});

Deno.test("ImageTarget refuses sections that come in parts", async () => {
  const target = await imageTarget();
  await assertRejects(
    () => target.section(HEADER).load(stream(new Uint8Array(1)), "start", CONTEXT),
    IncompatibleError,
    "sent in parts",
  );
});

Deno.test("ImageTarget refuses more sections than any machine has", async () => {
  const target = await imageTarget();
  await assertRejects(
    async () => {
      for (let i = 0; i < 100_000; i++) {
        await target.section(HEADER).load(stream(new Uint8Array(1)), "full", CONTEXT);
      }
    },
    StreamFormatError,
    "sections",
  );
});

Deno.test("ImageTarget does not keep an image that its description contradicts", async () => {
  let kept = false;
  const target = await imageTarget(() => Promise.resolve(void (kept = true)));
  await target.section(HEADER).load(stream(new Uint8Array(10)), "full", CONTEXT);
  const device = { name: "serial", instance_id: 0, fields: [{ name: "a", size: 11 }] };
  const description = new TextEncoder().encode(JSON.stringify({ devices: [device] }));
  await assertRejects(
    () => target.complete(Promise.resolve(description)),
    StreamFormatError,
    "does not fit the description",
  );
  assertEquals(kept, false);
});

Deno.test("ImageTarget has every page of a QEMU that sent differences", async () => {
  const name = "xbzrle-10.0";
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, await readGolden(name));
    const target = new ImageTarget(() => Promise.resolve());
    const uri = { kind: "file", path, offset: 0 } as const;
    await new IncomingMigration(target, { uri, ...settings() }).completed;
    const { guest } = GOLDEN_RECIPES[name]!.machine("");
    const ram = target.image.ram.block("pc.ram")!;
    checkSweep(guest!, new Uint8Array(ram.view(guest!.start, guest!.size)));
  } finally {
    await Deno.remove(path);
  }
});
