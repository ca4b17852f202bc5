import "../support/load_libc.ts";
import { assertEquals } from "@std/assert";
import { hostRanges } from "../../src/dirty/host_range.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { addressOf, hostPageSize } from "../../src/os/host_memory.ts";
import { libcProblem } from "../../src/os/libc.ts";

const ignore = libcProblem() !== undefined;
const SPECS = [
  { name: "a", length: 3 * 4096 },
  { name: "empty", length: 0 },
  { name: "b", length: 65536 + 4096 },
];

for (const packed of [false, true]) {
  Deno.test({
    name: `hostRanges() says where each byte of each block lies (packed: ${packed})`,
    ignore,
    fn() {
      const ram = GuestRam.create(SPECS, { packed });
      const ranges = hostRanges(ram)!;
      assertEquals(ranges.map(({ block, offset }) => [block.name, offset]), [["a", 0], ["b", 0]]);
      for (const { block, start, end } of ranges) {
        assertEquals([start % hostPageSize(), end - start], [0, block.length]);
        for (const at of [0, block.length - 1]) {
          block.view(at, 1)[0] = 0x5a;
          assertEquals(byteAt(start + at), 0x5a, `${block.name} at ${at}`);
        }
      }
    },
  });
}

Deno.test({
  name: "hostRanges() ends at the end of a host's page, and no two ranges share one",
  ignore,
  fn() {
    const ram = GuestRam.create(
      [1, 5, 64].map((pages, i) => ({ name: `block${i}`, length: pages * 1024 })),
      { pageSize: 1024, packed: true },
    );
    const ranges = hostRanges(ram)!;
    assertEquals(ranges.map(({ start, end }) => end - start), [4096, 8192, 65536]);
    ranges.reduce((before, range) => {
      assertEquals(range.start >= before.end, true);
      return range;
    });
  },
});

Deno.test({
  name: "hostRanges() has a range for each memory that a block lies in",
  ignore,
  fn() {
    const { layout } = GuestRam.create([{ name: "ram", length: 3 * 4096 }]);
    const [one, two] = [1, 1].map(() =>
      new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
    );
    const segments = [
      { memory: one!, base: 0, offset: 0, length: 8192 },
      { memory: two!, base: 16384, offset: 8192, length: 4096 },
    ];
    const ram = new GuestRam({ ...layout, blocks: [{ ...layout.blocks[0]!, segments }] });
    const [first, second] = hostRanges(ram)!;
    assertEquals([first!.offset, first!.start], [0, addressOf(one!)]);
    assertEquals([second!.offset, second!.start], [8192, addressOf(two!)! + 16384]);
  },
});

Deno.test("hostRanges() has nothing to say without FFI", async () => {
  const script = new URL("./ranges_elsewhere.ts", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", script.href],
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "undefined");
});

function byteAt(address: number): number {
  return new Deno.UnsafePointerView(Deno.UnsafePointer.create(BigInt(address))!).getUint8();
}
