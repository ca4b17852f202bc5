import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ConnectionLostError, MigrationError, StreamFormatError } from "../../src/errors.ts";
import { Loading } from "../../src/vmstate/loading.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { SplitFeed } from "../support/split_feed.ts";

function loadingOf(...bytes: number[]): Loading {
  const loading = new Loading(ByteReader.of(Uint8Array.from(bytes), 100));
  loading.path.enter("clock");
  loading.path.enter(".time");
  return loading;
}

Deno.test("Loading.peek() leaves the byte, take() takes bytes as the stream has them", () => {
  const loading = loadingOf(0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9);
  assertEquals([loading.peek(), loading.peek()], [0x80, 0x80]);
  assertEquals(loading.take(1).getInt8(0), -128);
  assertEquals(loading.take(8).getBigUint64(0), 0x0102030405060708n);
  assertEquals([loading.ready(1), loading.ready(2)], [true, false]);
});

Deno.test("Loading waits for nothing that has arrived", () => {
  const loading = loadingOf(1, 2, 3, 4);
  const into = new Uint8Array(2);
  assertEquals([loading.fill(into), loading.skip(1)], [undefined, undefined]);
  assertEquals([[...into], loading.peek(), loading.reader.position], [[1, 2], 4, 103]);
});

Deno.test("Loading waits for what has not arrived, in whatever pieces it comes", async () => {
  const bytes = Uint8Array.from({ length: 30 }, (_, i) => i);
  const loading = new Loading(new ByteReader(new SplitFeed(bytes, [1, 2, 3], 16)));
  await loading.need(8);
  assertEquals(loading.take(8).getUint8(7), 7);
  await loading.skip(10);
  const into = new Uint8Array(12);
  await loading.fill(into);
  assertEquals([...into], [...bytes.subarray(18)]);
});

Deno.test("Loading says in which field the stream ended", async () => {
  for (
    const wait of [
      (loading: Loading) => loading.need(4),
      (loading: Loading) => loading.fill(new Uint8Array(4)),
      (loading: Loading) => loading.skip(4),
    ]
  ) {
    await assertRejects(
      async () => await wait(loadingOf(1, 2, 3)),
      ConnectionLostError,
      "inside clock.time",
    );
  }
});

Deno.test("Loading's errors say which field it was, and where in the stream", () => {
  const loading = loadingOf(1, 2);
  loading.take(1);
  const format = loading.formatError("is 9");
  assertEquals([format.what, format.place.offset], ["clock.time is 9", 101]);
  assertEquals(loading.formatError("is 9", 7).place.offset, 7);
  const incompatible = loading.incompatible("is older", 5, "Update");
  assertEquals(
    [incompatible.what, incompatible.place.offset, incompatible.advice],
    ["clock.time is older", 5, "Update"],
  );
  assertEquals(loading.typeError("is null").message, "clock.time is null");
});

Deno.test("Loading.failed() keeps the class of what is ours, and its offset if it has one", () => {
  const loading = loadingOf(1);
  const thrown = new StreamFormatError("No such room");
  const failed = loading.failed(".postLoad()", thrown);
  assertEquals([failed.constructor, failed.what], [StreamFormatError, "No such room"]);
  assertEquals(failed.place.offset, 100);
  const placed = new StreamFormatError("No such room", { place: { offset: 3 } });
  assertEquals(loading.failed("", placed).place.offset, 3);
});

Deno.test("Loading.failed() makes an error of whatever else was thrown", () => {
  for (const thrown of [new TypeError("oops"), "oops"]) {
    const failed = loadingOf(1).failed(".postLoad()", thrown);
    assertEquals(failed.constructor, MigrationError);
    assertEquals([failed.what, failed.place.offset], ["clock.time.postLoad() failed: oops", 100]);
    assertStrictEquals(failed.cause, thrown);
  }
});
