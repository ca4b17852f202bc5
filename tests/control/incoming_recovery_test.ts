import { assert, assertEquals, assertRejects } from "@std/assert";
import { PostcopyChannels } from "../../src/control/incoming_recovery.ts";
import { ConnectionLostError, StateError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { FaultThread } from "../../src/postcopy/fault_thread.ts";
import { IncomingStream } from "../../src/ram/incoming_stream.ts";
import { SpareWorkers } from "../../src/threads/spare_workers.ts";
import { connect } from "../../src/transport/connect.ts";
import { listen } from "../../src/transport/listen.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { connectTo, writeAll } from "../support/sockets.ts";
import "../support/load_libc.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");

/** A main channel, perhaps a preempt channel to come, and the source's ends. */
async function setUp(
  withPreempt: boolean,
  settings: { readonly channelsTimeout?: number; readonly beginningTimeout?: number } = {},
) {
  const listener = await listen(ANY_PORT);
  const source = await connectTo(formatUri(listener.uri));
  const endpoint = (await listener.accept())!;
  const { read, write } = endpoint.handOffHalves();
  const spares = new SpareWorkers();
  const faults = await FaultThread.start({
    channel: write,
    onLost: () => {},
    onFailure: () => {},
  });
  const streams: IncomingStream[] = [];
  const preempt = withPreempt ? listener.accept().then((each) => each!) : undefined;
  const channels = new PostcopyChannels({
    stream: await IncomingStream.start(read),
    faults,
    preempt,
    settings,
    listen: (uri, signal) => listen(uri, { signal }),
    spares,
    onStream: (stream) => streams.push(stream),
  });
  const ram = GuestRam.create([{ name: "ram", length: 4096 }]);
  const end = async () => {
    source.close();
    await channels[Symbol.asyncDispose]();
    await faults[Symbol.asyncDispose]();
    await endpoint.close();
    await listener.close();
    await spares[Symbol.asyncDispose]();
  };
  const loading = { missing: undefined, sectionId: 1 };
  return { listener, source, channels, streams, ram, loading, end };
}

Deno.test("PostcopyChannels: another main channel after a loss, at the last address asked for", async () => {
  const { channels, streams, ram, loading, source, end } = await setUp(false);
  await channels.waitForPreempt();
  await channels.setPostcopy(ram, loading);
  const reading = channels.alongside(channels.stream.reader.u8("a byte"));
  channels.break(new ConnectionLostError("The network is gone"));
  await assertRejects(() => reading, ConnectionLostError);
  await channels.close(new ConnectionLostError("The network is gone"));
  assertEquals(await source.read(new Uint8Array(1)).catch(() => null), null);

  const first = await channels.listen(ANY_PORT);
  const uri = await channels.listen(ANY_PORT);
  await assertRejects(() => connectTo(formatUri(first)), Deno.errors.ConnectionRefused);
  using second = await connectTo(formatUri(uri));
  const stream = await channels.recovered();
  assertEquals([stream, streams], [channels.stream, [stream]]);
  await assertRejects(() => channels.listen(ANY_PORT), StateError, "just now");
  await writeAll(second, Uint8Array.of(42));
  assertEquals(await stream.reader.u8("a byte"), 42);
  await end();
});

Deno.test("PostcopyChannels: a preempt channel that is lost ends the wait for the main one", async () => {
  const { listener, channels, ram, loading, end } = await setUp(true);
  assert(channels.hasPreempt);
  const preempt = await connect(listener.uri);
  await channels.waitForPreempt();
  await channels.setPostcopy(ram, loading);
  const reading = channels.alongside(channels.stream.reader.u8("a byte"));
  await preempt.close();
  const error = await assertRejects(() => reading, ConnectionLostError);
  assertEquals(error.place.channel, "preempt");
  await channels.close(error);
  await end();
});

Deno.test("PostcopyChannels: what is wrong with one channel is not said of the other", async () => {
  const { listener, channels, ram, loading, end } = await setUp(true);
  const preempt = await connect(listener.uri);
  await channels.setPostcopy(ram, loading);
  const error = new ConnectionLostError("The main channel is bad");
  const reading = channels.alongside(new Promise<never>(() => {}));
  channels.break(error);
  assertEquals(await assertRejects(() => reading), error);
  await channels.close(error);
  assertEquals(error.place, {});
  await preempt.close();
  await end();
});

Deno.test("PostcopyChannels: a preempt channel ends with EOS, and brings nothing but pages", async () => {
  for (
    const [flag, message] of [[0x10, undefined], [0x04, "Something other than a page"]] as const
  ) {
    const { listener, channels, ram, loading, source, end } = await setUp(true);
    using preempt = await connectTo(formatUri(listener.uri));
    await channels.setPostcopy(ram, loading);
    await writeAll(preempt, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, flag));
    const reading = channels.alongside(channels.stream.reader.u8("a byte"));
    if (message) {
      await assertRejects(() => reading, Error, message);
    } else {
      preempt.close();
      await writeAll(source, Uint8Array.of(7));
      assertEquals(await reading, 7);
    }
    await end();
  }
});

Deno.test("PostcopyChannels do not wait for ever: for a preempt channel, or for a recovery to begin", async () => {
  const lacking = await setUp(true, { channelsTimeout: 50 });
  await assertRejects(
    () => lacking.channels.waitForPreempt(),
    ConnectionLostError,
    "did not open the preempt channel within 50 ms",
  );
  const { uri } = lacking.listener;
  const late = await connect(uri);
  await lacking.end();
  await late.close();

  const { channels, ram, loading, end } = await setUp(false, { beginningTimeout: 50 });
  await channels.setPostcopy(ram, loading);
  await channels.close(new ConnectionLostError("The network is gone"));
  using _mute = await connectTo(formatUri(await channels.listen(ANY_PORT)));
  const stream = await channels.recovered();
  // Whoever reads sees an end.
  assertEquals(await stream.reader.atEnd(), true);
  assert(stream.broken?.message.includes("did not begin a recovery within 50 ms"));
  await end();
});

Deno.test("PostcopyChannels listen no more once they are disposed of", async () => {
  const { channels, end } = await setUp(false);
  await channels.listen(ANY_PORT);
  await end();
  await assertRejects(() => channels.listen(ANY_PORT));
});
