// Descriptions and states made at random: what is saved is what is loaded, however the stream is cut,
// and no bytes whatsoever do anything but load or fail in the way a caller expects.
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { MigrationError } from "../../src/errors.ts";
import { loadState } from "../../src/vmstate/load_state.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { byteByByte, everySplit, SplitFeed } from "../support/split_feed.ts";
import { hex, savedBytes } from "./hex.ts";
import { Random, type RandomDevice, randomDevice } from "./random_description.ts";

function* devices(count: number): Generator<{ seed: number; device: RandomDevice }> {
  for (let seed = 0; seed < count; seed++) {
    yield { seed, device: randomDevice(new Random(seed), seed % 3) };
  }
}

Deno.test("Random states survive saving and loading, in one piece and byte by byte", async () => {
  for (const { seed, device } of devices(400)) {
    const state = device.fill();
    const bytes = savedBytes(device.description, state);
    for (const reader of [ByteReader.of(bytes), byteByByte(bytes)]) {
      const loaded = device.description.create();
      await loadState(reader, device.description, loaded, 1);
      assertEquals(hex(savedBytes(device.description, loaded)), hex(bytes), `seed ${seed}`);
      assertEquals(await reader.atEnd(), true, `seed ${seed}`);
    }
  }
});

Deno.test("Random states survive a cut at every place", async () => {
  for (const { seed, device } of devices(60)) {
    const state = device.fill();
    const bytes = savedBytes(device.description, state);
    if (bytes.length > 300) continue;
    for (const { cut, reader } of everySplit(bytes)) {
      const loaded = device.description.create();
      await loadState(reader, device.description, loaded, 1);
      assertEquals(
        hex(savedBytes(device.description, loaded)),
        hex(bytes),
        `seed ${seed} cut at ${cut}`,
      );
    }
  }
});

Deno.test("Random damage loads or fails as a MigrationError, in a small window, too", async () => {
  let failures = 0;
  for (const { seed, device } of devices(300)) {
    const random = new Random(seed + 1);
    const state = device.fill();
    const bytes = savedBytes(device.description, state);
    if (bytes.length === 0) continue;
    for (let i = 0; i < 5; i++) {
      const damaged = bytes.slice(0, bytes.length - random.below(3));
      if (damaged.length > 0) damaged[random.below(damaged.length)] = random.below(256);
      const feed = new SplitFeed(damaged, [random.below(20)], 300);
      try {
        await loadState(new ByteReader(feed), device.description, device.description.create(), 1);
      } catch (thrown) {
        assertInstanceOf(thrown, MigrationError, `seed ${seed}: ${thrown}`);
        assert(thrown.place.offset !== undefined);
        failures++;
      }
    }
  }
  assert(failures > 100, `${failures} failures`);
});
