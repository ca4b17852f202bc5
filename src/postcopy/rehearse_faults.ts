/**
 * What the fault thread does while it is in reserve (`rehearsal.ts`): it hears of page faults that nobody had,
 * and asks for their pages.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { Presence } from "../machine/presence.ts";
import { EventBell } from "../os/event_bell.ts";
import { pageFaultEvent } from "../os/fault_reader.ts";
import { addressOf } from "../os/host_memory.ts";
import { closeDescriptor } from "../os/libc.ts";
import { PromptSocket } from "../os/prompt_socket.ts";
import { socketPair } from "../os/socket_pair.ts";
import { rehearsalEnd } from "../transport/rehearsal_pair.ts";
import { Blocktime, sharedTime } from "./blocktime.ts";
import {
  FaultLoop,
  type FaultTask,
  FaultWord,
  type FromFault,
  type ToFault,
} from "./fault_loop.ts";
import { PAGE, PAGES, rehearsalRam, ROUNDS, TIMES } from "./rehearsal.ts";

/** What the vCPU's thread is called that has the faults. */
const VCPU_THREAD = 1;

/**
 * Has faults and asks for pages.
 * @param isOver Whether to leave the rest.
 * @returns How many bytes of requests were sent; 0 without FFI.
 */
export async function rehearseFaults(isOver: () => boolean): Promise<number> {
  const bell = EventBell.create();
  if (typeof bell === "number") return 0;
  const events = socketPair("packets")!;
  let bytes = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const connection = socketPair()!;
      bytes += await rehearse({ bell, events, connection }, isOver);
      closeDescriptor(connection[1]); // the other end was the loop's
    }
  } finally {
    for (const fd of events) closeDescriptor(fd);
    bell.close();
  }
  return bytes;
}

interface Equipment {
  readonly bell: EventBell;
  /** Where events are put in, and what is taken for a userfaultfd. The first one is written. */
  readonly events: readonly [number, number];
  /** The loop's connection, and its other end. */
  readonly connection: readonly [number, number];
}

async function rehearse(
  { bell, events, connection }: Equipment,
  isOver: () => boolean,
): Promise<number> {
  const { ram, block } = rehearsalRam();
  const kernel = new PromptSocket(events[0]);
  const source = new PromptSocket(connection[1]);
  const words = new Int32Array(new SharedArrayBuffer(8));
  const [segment] = block.segments;
  const start = addressOf(segment!.memory)! + segment!.base;
  const presence = Presence.create(1);
  presence.setThread(0, VCPU_THREAD);
  const blocktime = Blocktime.create(presence.vcpus);
  const watch: FaultTask = {
    kind: "watch",
    missing: {
      ...{ ram: structuredClone(ram.layout), presence: presence.memory, userfaultfd: events[1] },
      blocktime: blocktime.memory,
    },
  };
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const loop = new FaultLoop(
    { channel: rehearsalEnd(connection[0]), words: words.buffer, bell: bell.fd },
    portOf(watch, ended),
  );
  words[FaultWord.POSTED] = 1;
  const running = loop.run();
  const requests = new Uint8Array(32);
  let bytes = 0;
  for (let faults = 0; faults < TIMES && !isOver(); faults++) {
    const page = faults % PAGES;
    block.requested.delete(page);
    kernel.write(pageFaultEvent(start + page * PAGE, VCPU_THREAD), 0);
    // The loop asks for it before it has a turn again.
    bell.ring();
    await setImmediate();
    for (let count; (count = source.read(requests, 0)) > 0;) bytes += count;
    // Some guests are faster than who says that their page has come.
    if (faults % 4 > 0) blocktime.end(block.index, page, sharedTime());
  }
  Atomics.store(words, FaultWord.STOP, 1);
  bell.ring();
  end();
  await running;
  return bytes;
}

/** Where one task comes from. @param ended When there are no more. */
function portOf(task: FaultTask, ended: Promise<void>): ConstructorParameters<typeof FaultLoop>[1] {
  const message: ToFault = { id: 0, task };
  return {
    ready: () => {},
    post: (_: FromFault) => {},
    receive: () => Promise.resolve(undefined),
    async *[Symbol.asyncIterator]() {
      yield message;
      await ended;
    },
  };
}
