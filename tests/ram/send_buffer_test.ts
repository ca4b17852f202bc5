import { assertEquals } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { RECORD_HEADER_MAX } from "../../src/ram/record_encoder.ts";
import { HOST_PAGE_MAX, recordsSize } from "../../src/ram/send_buffer.ts";

Deno.test("recordsSize() has room for the largest page of the host's, if it is sent as a whole", () => {
  const { layout } = GuestRam.create([{ name: "ram", length: 4 * 1024 ** 2 }]);
  const ramOf = (hostPageSize: number) =>
    new GuestRam({ ...layout, blocks: layout.blocks.map((each) => ({ ...each, hostPageSize })) });
  const withHeaders = (bytes: number) => bytes + bytes / 4096 * RECORD_HEADER_MAX;
  assertEquals(recordsSize(ramOf(4096), 65536, true), withHeaders(65536));
  assertEquals(recordsSize(ramOf(HOST_PAGE_MAX), 65536, true), withHeaders(HOST_PAGE_MAX));
  assertEquals(recordsSize(ramOf(HOST_PAGE_MAX), 65536, false), withHeaders(65536));
  // Larger ones are never sent so, and nothing is allocated for them.
  assertEquals(recordsSize(ramOf(2 ** 30), 65536, true), withHeaders(65536));
});
