import { assert, assertEquals, assertThrows } from "@std/assert";
import { createStream, ZlibHandle, type ZlibKind } from "../../src/os/zlib_handle.ts";

const KINDS: readonly ZlibKind[] = ["deflate", "inflate", "zstd-compress", "zstd-decompress"];
/** Words of a small language in no order. */
function words(length: number): Uint8Array {
  let state = 1;
  const below = (limit: number) =>
    (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % 65521 % limit;
  const language = Array.from({ length: 500 }, () => below(65536).toString(36).repeat(2));
  const text = Array.from({ length: length / 4 }, () => language[below(500)]).join(" ");
  return new TextEncoder().encode(text).subarray(0, length);
}

const INPUT = Uint8Array.from({ length: 100_000 }, (_, i) => i >>> 6);

/** What this project takes from inside Deno. If this fails, a release has changed it. */
Deno.test("Deno's streams of node:zlib have the handle, the state and the error hook that ZlibHandle leans on", () => {
  for (const kind of KINDS) {
    const handle = new ZlibHandle(kind);
    assertEquals([handle.inputLeft, handle.outputLeft], [0, 0], kind);
    handle.close();
  }
});

for (
  const [compress, decompress] of [["deflate", "inflate"], [
    "zstd-compress",
    "zstd-decompress",
  ]] as const
) {
  Deno.test(`ZlibHandle: ${compress} and ${decompress} in shared memory, at any offset, call by call`, () => {
    const from = new Uint8Array(new SharedArrayBuffer(INPUT.length + 7));
    from.set(INPUT, 7);
    const between = new Uint8Array(new SharedArrayBuffer(50_000));
    const to = new Uint8Array(new SharedArrayBuffer(INPUT.length + 100));
    const one = new ZlibHandle(compress, 1);
    const other = new ZlibHandle(decompress);
    for (let turn = 0; turn < 3; turn++) {
      to.fill(0xee);
      one.run("no", from, 7, 30_000, between, 11, 40_000);
      assertEquals(one.inputLeft, 0);
      let end = 40_011 - one.outputLeft;
      one.run("flush", from, 30_007, INPUT.length - 30_000, between, end, 40_000);
      assertEquals(one.inputLeft, 0);
      end += 40_000 - one.outputLeft;
      // Into pieces, as pages are.
      let consumed = 11;
      for (let at = 50; at < 50 + INPUT.length;) {
        const room = Math.min(4096, 50 + INPUT.length - at);
        other.run("flush", between, consumed, end - consumed, to, at, room);
        consumed = end - other.inputLeft;
        assert(other.outputLeft < room, "no progress");
        at += room - other.outputLeft;
      }
      assertEquals(to.slice(50, 50 + INPUT.length), INPUT);
      assertEquals([to[49], to[50 + INPUT.length]], [0xee, 0xee]);
    }
    one.close();
    other.close();
  });

  Deno.test(`ZlibHandle: ${decompress} throws at what is not its format`, () => {
    const handle = new ZlibHandle(decompress);
    const bytes = new Uint8Array(100).fill(0x99);
    assertThrows(() => handle.run("flush", bytes, 0, 100, new Uint8Array(100), 0, 100), Error);
    handle.close();
  });
}

Deno.test("createStream() gives the level to those that compress", () => {
  for (const kind of ["deflate", "zstd-compress"] as const) {
    const sizes = [1, 9].map((level) => {
      const handle = new ZlibHandle(kind, level);
      const output = new Uint8Array(100_000);
      const text = words(90_000);
      handle.run("flush", text, 0, 90_000, output, 0, output.length);
      handle.close();
      return output.length - handle.outputLeft;
    });
    assert(sizes[1]! < sizes[0]!, `${kind}: ${sizes}`);
  }
  for (const kind of KINDS) createStream(kind, 1).destroy();
});
