import { assert, assertEquals, assertRejects } from "@std/assert";
import { DestinationWord } from "../../src/control/destination_word.ts";
import { Trouble } from "../../src/control/trouble.ts";
import { ConnectionLostError, PeerFailedError, StreamFormatError } from "../../src/errors.ts";

function listen() {
  const trouble = new Trouble();
  const state = { handedOver: false };
  const word = new DestinationWord(trouble, () => state.handedOver);
  return { trouble, state, word };
}

const SENT = Promise.resolve();

Deno.test("DestinationWord.pong() waits for its own number, which may have come before", async () => {
  const { word } = listen();
  word.message({ type: "PONG", value: 1 });
  await word.pong(1);
  const second = word.pong(2);
  word.message({ type: "PONG", value: 3 });
  word.message({ type: "PONG", value: 2 });
  word.message({ type: "PONG", value: 2 });
  await second;
});

Deno.test("DestinationWord.pong() does not wait beyond the return path's end", async () => {
  const { word } = listen();
  const pong = word.pong(5);
  word.closed(new ConnectionLostError("Gone"));
  const error = await assertRejects(() => pong, ConnectionLostError);
  assertEquals(error.place.channel, "return path");
});

Deno.test("SHUT 0 is a success after the handover, and a failure before", async () => {
  const before = listen();
  before.word.message({ type: "SHUT", status: 0 });
  assert(before.trouble.error instanceof PeerFailedError);
  await assertRejects(() => before.word.verdict(SENT), PeerFailedError, "before it was complete");

  const after = listen();
  after.state.handedOver = true;
  after.word.message({ type: "SHUT", status: 0 });
  after.word.closed(new ConnectionLostError("It has closed its side"));
  await after.word.verdict(SENT);
  assertEquals(after.trouble.error, undefined);
});

Deno.test("SHUT with another number is a failure at any time, and the number is shown as QEMU's", async () => {
  for (const handedOver of [false, true]) {
    const { word, state, trouble } = listen();
    state.handedOver = handedOver;
    word.message({ type: "SHUT", status: 0xffffffea });
    const error = await assertRejects(() => word.verdict(SENT), PeerFailedError);
    assert(error.message.includes("-22"), error.message);
    assertEquals(trouble.error, handedOver ? undefined : error);
  }
});

Deno.test("What must not come is no verdict: nobody knows whether the destination runs", async () => {
  const { word, state } = listen();
  state.handedOver = true;
  word.message({ type: "REQ_PAGES", block: "ram", start: 0, length: 4096 });
  const error = await assertRejects(() => word.verdict(SENT), StreamFormatError);
  assert(error.message.includes("REQ_PAGES"));
});

Deno.test("SWITCHOVER_ACK and PONG unasked mean nothing here", () => {
  const { word, trouble } = listen();
  word.message({ type: "SWITCHOVER_ACK" });
  word.message({ type: "PONG", value: 77 });
  assertEquals(trouble.error, undefined);
});

Deno.test("DestinationWord.verdict() believes a last word that comes after the main channel broke", async () => {
  const { word, state } = listen();
  state.handedOver = true;
  const verdict = word.verdict(Promise.reject(new ConnectionLostError("The main channel broke")));
  await Promise.resolve();
  word.message({ type: "SHUT", status: 0 });
  await verdict;
});

Deno.test("DestinationWord.verdict() starts no timer when the main channel breaks after the verdict", async () => {
  const { word, state } = listen();
  state.handedOver = true;
  word.message({ type: "SHUT", status: 0 });
  const sent = Promise.withResolvers<void>();
  await word.verdict(sent.promise);
  sent.reject(new ConnectionLostError("Closed"));
  // A timer would be left behind, which the sanitizer of this test would find.
});

Deno.test("DestinationWord.acknowledgesSwitchover() says what has come, and does not wait for long", async () => {
  const { word } = listen();
  assertEquals(await word.acknowledgesSwitchover(), false);
  const asked = word.acknowledgesSwitchover();
  word.message({ type: "SWITCHOVER_ACK" });
  assertEquals([await asked, await word.acknowledgesSwitchover()], [true, true]);
});

Deno.test("DestinationWord.acknowledgesSwitchover() does not wait beyond the return path's end", async () => {
  const { word } = listen();
  const asked = word.acknowledgesSwitchover();
  word.closed(new ConnectionLostError("Gone"));
  await assertRejects(() => asked, ConnectionLostError);
});

Deno.test("DestinationWord waits for what a destination says while it recovers", async () => {
  const { word } = listen();
  word.message({ type: "RECV_BITMAP", block: "ram" });
  await word.received("ram");
  const other = word.received("rom");
  const resumed = word.resumed();
  word.message({ type: "RECV_BITMAP", block: "rom" });
  word.message({ type: "RESUME_ACK", value: 1 });
  await Promise.all([other, resumed]);

  const refusing = listen();
  const never = refusing.word.resumed();
  refusing.word.message({ type: "RESUME_ACK", value: 0 });
  await assertRejects(() => never, PeerFailedError, "does not go on");
});

Deno.test("DestinationWord keeps only so many words that nobody waits for", async () => {
  const { word, trouble } = listen();
  for (let value = 0; value < 10_000; value++) word.message({ type: "PONG", value });
  await word.pong(7);
  const late = word.pong(9_999);
  word.message({ type: "PONG", value: 9_999 });
  await late;
  assertEquals(trouble.error, undefined);
});
