/**
 * A destination that is sent bad streams: a machine whose RAM lies between canaries, so that a byte written outside
 * of it is seen.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { IncomingMigration } from "../../src/control/incoming.ts";
import type { IncomingOptions } from "../../src/control/incoming_options.ts";
import type { IncomingTarget } from "../../src/control/incoming_target.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigrationError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { withPatience } from "../support/event_log.ts";
import { closeQuietly, connectTo, writeAll } from "../support/sockets.ts";
import { BLOCKS, MACHINE } from "./stream_parts.ts";
import "../support/load_libc.ts";

const CANARY = 0xc5;
/** Where the blocks lie: each between pages of canaries. */
const BASES = [65_536, 65_536 + BLOCKS[0]!.length + 4096];
const MEMORY_PAGES = 3;

/** RAM between canaries. */
function surroundedRam(): GuestRam {
  const { layout } = GuestRam.create(BLOCKS, { packed: true });
  const memory = new WebAssembly.Memory({
    initial: MEMORY_PAGES,
    maximum: MEMORY_PAGES,
    shared: true,
  });
  const bytes = new Uint8Array(memory.buffer).fill(CANARY);
  const blocks = layout.blocks.map((block, i) => {
    const base = BASES[i]!;
    bytes.fill(0, base, base + block.length);
    return { ...block, segments: [{ memory, base, offset: 0, length: block.length }] };
  });
  const ram = new GuestRam({ ...layout, blocks });
  behindTables(ram).fill(CANARY);
  return ram;
}

/** What lies behind the last bitmap. */
function behindTables(ram: GuestRam): Uint8Array {
  const ends = ram.blocks.flatMap((block) =>
    Object.values(block.layout.bitmaps).map(({ byteOffset }) => byteOffset + 64)
  );
  return new Uint8Array(ram.tables.buffer, Math.max(...ends));
}

/** How a stream is sent. */
export interface Attack {
  /** The stream. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether the connection stays open behind it, as that of a source that waits for an answer. */
  readonly stays?: boolean;
  /**
   * How many bytes of answers come before the connection is ended. An end that comes before them can
   * be what the answers fail at.
   * @default {0}
   */
  readonly answers?: number;
}

/** What became of it. */
export interface AttackResult {
  /** What the migration rejected with; `undefined` if it was taken for good. */
  readonly error: MigrationError | undefined;
  /** What the attacker heard. */
  readonly heard: Uint8Array;
}

/** A machine that is attacked, again and again. */
export class Victim implements AsyncDisposable {
  private constructor(readonly machine: Machine) {}

  /** Makes one. */
  static async create(): Promise<Victim> {
    const ram = surroundedRam();
    return new Victim(await Machine.create({ name: MACHINE, ram, vcpus: ["beat"] }));
  }

  /** Receives a stream, and checks what holds for every one of them. */
  async receive(attack: Attack, options: Partial<IncomingOptions> = {}): Promise<AttackResult> {
    const result = await attackTarget(new MachineTarget(this.machine), attack, options);
    this.checkUntouched();
    if (result.error) assert(!this.machine.running, "It failed and runs");
    return result;
  }

  /** Checks that nothing was written outside of RAM. */
  checkUntouched(): void {
    const { ram } = this.machine;
    const memory = new Uint8Array(ram.memories[0]!.buffer);
    let at = 0;
    for (const [i, block] of ram.blocks.entries()) {
      assertCanaries(memory.subarray(at, BASES[i]), at);
      at = BASES[i]! + block.length;
      for (const { words } of [block.received, block.dirty, block.untouched, block.requested]) {
        assertEquals(words.subarray(1).every((word) => word === 0), true, "bits behind the bitmap");
        assertEquals((words[0]! >>> block.pageCount) === 0, true, "bits behind the last page");
      }
    }
    assertCanaries(memory.subarray(at), at);
    assertCanaries(behindTables(ram), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }
}

function assertCanaries(bytes: Uint8Array, from: number): void {
  const wrong = bytes.findIndex((byte) => byte !== CANARY);
  assertEquals(wrong, -1, `A byte outside of RAM was written, at ${from + wrong}`);
}

/** Sends a stream to any target. @returns When both sides are done. */
export async function attackTarget(
  target: IncomingTarget,
  { bytes, stays = false, answers = 0 }: Attack,
  options: Partial<IncomingOptions> = {},
): Promise<AttackResult> {
  const incoming = new IncomingMigration(target, {
    uri: parseUri("tcp:127.0.0.1:0"),
    ...settings(),
    ...options,
  });
  const conn = await connectTo(formatUri(await incoming.listening));
  try {
    const answered = Promise.withResolvers<void>();
    if (answers === 0) answered.resolve();
    const hearing = hear(conn, (count) => {
      if (count >= answers) answered.resolve();
    }).finally(answered.resolve);
    // It may close the connection in the middle of the stream.
    const sending = writeAll(conn, bytes).then(() => answered.promise)
      .then(() => stays ? undefined : conn.closeWrite()).catch(() => {});
    const error = await withPatience(
      incoming.completed.then(() => undefined, (thrown: unknown) => thrown),
      "the destination to end",
    );
    if (error !== undefined) {
      assert(error instanceof MigrationError, `Not one of ours: ${error}`);
      checkMessage(error);
      assertEquals(incoming.info(), { status: "failed", "error-desc": error.explanation });
    } else {
      assertEquals(incoming.info().status, "completed");
    }
    await sending;
    return { error, heard: await hearing };
  } finally {
    closeQuietly(conn);
  }
}

/** One message that says what and where, for a user and not for a programmer. */
function checkMessage(error: MigrationError): void {
  const { message } = error;
  assertEquals(error.place.side, "destination", message);
  assert(error.place.phase === "active", message);
  assert(error.place.offset !== undefined, `Where? ${message}`);
  assertStringIncludes(message, "at offset 0x");
  assert(/^[A-Z"]/.test(message) && !/[.!]$/.test(error.what), message);
  assert(!/undefined|NaN|\[object|TypeError|RangeError|is not a function/.test(message), message);
  assert(message.length < 1000, message);
}

async function hear(conn: Deno.Conn, onCount: (count: number) => void): Promise<Uint8Array> {
  const heard: number[] = [];
  const buffer = new Uint8Array(1024);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) {
      heard.push(...buffer.subarray(0, count));
      onCount(heard.length);
    }
  } catch {
    // Reset, because it was sent more than it read.
  }
  return Uint8Array.from(heard);
}

/** Descriptors of this process, to see that none is left behind. */
export function openDescriptors(): number {
  return entriesOf(`/proc/${Deno.pid}/fd`);
}

/** Threads of this process. */
export function threads(): number {
  return entriesOf(`/proc/${Deno.pid}/task`);
}

/** Another program looks: Deno itself reads in /proc only with every permission there is. */
function entriesOf(folder: string): number {
  const { stdout } = new Deno.Command("ls", { args: [folder] }).outputSync();
  return new TextDecoder().decode(stdout).split("\n").length - 1;
}
