/**
 * What a source sends in postcopy, step by step, over one link (wire-format §8; QEMU
 * `migration/migration.c`, `postcopy_start`, `migration_iteration_run`, `postcopy_do_resume`).
 *
 * @module
 */
import { PageScan } from "../batch/page_scan.ts";
import { ConnectionLostError, IncompatibleError } from "../errors.ts";
import {
  PostcopyPing,
  writeDiscards,
  writePackage,
  writeReceivedQuestion,
} from "../postcopy/source_commands.ts";
import { RamFlag } from "../ram/flags.ts";
import type { JobRing } from "../threads/job_ring.ts";
import { Command, writeCommand, writePing } from "../wire/command.ts";
import { ElementType, writeSectionFooter, writeShortSectionHeader } from "../wire/section.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingStatistics } from "./outgoing_statistics.ts";
import type { Parameters } from "./parameters.ts";
import { RateLimit } from "./rate_limit.ts";

/** Batches ahead of the channel: few, because the scan goes on where the destination asks. */
const BATCHES_AHEAD = 2;
/** How long a destination may take to load its devices, or to answer while it recovers, in milliseconds. */
export const ANSWER_TIMEOUT_MS = 30_000;

/** How often a destination with a preempt channel is asked; the numbers of the PINGs are ours. */
const PREEMPT_QUESTIONS = 8;
const FIRST_PREEMPT_PING = 0x50;

/** What one link's postcopy works with. */
export interface PostcopyContext {
  readonly machine: OutgoingMachine;
  readonly link: OutgoingLink;
  readonly statistics: OutgoingStatistics;
  /** The parameters now. */
  readonly parameters: () => Parameters;
  /** How long a destination may take to answer, in milliseconds. */
  readonly answerTimeout: number;
}

/**
 * Checks that every page can be sent: a destination whose guest runs waits for each.
 * @throws {IncompatibleError} If one cannot.
 */
export function requireAllPages({ ram }: OutgoingMachine): void {
  for (const { name, dirty, pageCount } of ram.blocks) {
    const missing = pageCount - dirty.count();
    if (missing === 0) continue;
    throw new IncompatibleError(
      `${missing} of ${pageCount} pages of RAM block "${name}" are not in the image: postcopy needs all`,
      { advice: "Turn the capability postcopy-ram off." },
    );
  }
}

/**
 * Sees to it that a preempt channel is there before the switch. A QEMU accepts it only when it has nothing
 * to read on the main channel, and from the command LISTEN on waits for it without reading either: so it
 * gets some questions first, each of which it must have answered before the next.
 * @param opened The PING whose answer says that the destination has the main channel.
 */
export async function settlePreempt({ link }: PostcopyContext, opened: number): Promise<void> {
  const { stream, destination, trouble: { check } } = link;
  await destination.pong(opened);
  if (!await link.openPreempt()) return;
  for (let i = 0; i < PREEMPT_QUESTIONS; i++) {
    writePing(stream.writer, FIRST_PREEMPT_PING + i);
    await stream.flush(check);
    await destination.pong(FIRST_PREEMPT_PING + i);
  }
}

/** Waits until the machine runs there. */
export async function whenItRuns(context: PostcopyContext): Promise<void> {
  await inTime(context, context.link.destination.pong(PostcopyPing.RUNS));
}

/** Sends what makes the machine run there; its guest is stopped here, and the dirty log synced. */
export async function sendSwitch({ machine, link }: PostcopyContext): Promise<void> {
  const { stream, requests, trouble: { check } } = link;
  const { writer } = stream;
  if (machine.sendsSwitchoverStart) writeCommand(writer, Command.SWITCHOVER_START);
  await writeDiscards(writer, machine.ram, () => stream.flush(check));
  writePing(writer, PostcopyPing.DISCARDED);
  requests!.open();
  writePackage(writer, (content) => machine.saveDevices(content, machine.configuration));
  writePing(writer, PostcopyPing.LISTENING);
  await stream.beginPostcopy(check);
}

/** Sends pages until none is left: those that nobody asks for, in order from where somebody has asked. */
export async function sendRemaining(context: PostcopyContext): Promise<void> {
  const { machine: { ram }, link, statistics, parameters } = context;
  const { stream, requests, trouble: { check } } = link;
  const scan = new PageScan(ram);
  const limit = new RateLimit(performance.now());
  const sent = () => stream.counters.get("bytes");
  for (;;) {
    const asked = requests!.takeLast();
    if (asked) scan.jumpTo(asked.block, asked.page);
    let pages = stream.batchPages;
    const bandwidth = parameters()["max-postcopy-bandwidth"];
    if (bandwidth > 0) {
      await stream.drained(check);
      const left = limit.allowance(bandwidth, performance.now(), sent());
      if (left <= 0) {
        await link.sleep(limit.untilNextSlice(performance.now()));
        continue;
      }
      pages = Math.min(pages, Math.max(1, Math.floor(left / ram.pageSize)));
    }
    if (scan.pushBatch(await ringWithFewBatches(link), pages) > 0) {
      statistics.measure();
      continue;
    }
    await drained(link);
    if (ram.blocks.every(({ dirty, pageCount }) => dirty.next(0) === pageCount)) return;
    scan.restart();
  }
}

/** Waits until every page that was claimed is written to its channel, or on its way there. */
async function drained({ stream, requests, progress, trouble }: OutgoingLink): Promise<void> {
  await stream.drained(trouble.check);
  for (;;) {
    const seen = progress.count;
    trouble.check();
    if (!requests!.busy) return;
    await progress.changed(seen);
  }
}

async function ringWithFewBatches({ stream, progress, trouble }: OutgoingLink): Promise<JobRing> {
  for (;;) {
    const seen = progress.count;
    const ring = await stream.ringWithRoom(trouble.check);
    if (ring.pending < BATCHES_AHEAD) return ring;
    await progress.changed(seen);
  }
}

/** Ends the section and the stream. @returns When it is sent. */
export function sendEnd({ machine, link }: PostcopyContext): Promise<void> {
  const { stream, trouble: { check } } = link;
  const { writer } = stream;
  writeShortSectionHeader(writer, ElementType.SECTION_END, machine.ramSectionId);
  writeSectionFooter(writer.be64(RamFlag.EOS), machine.ramSectionId);
  writer.u8(ElementType.EOF);
  return stream.end(check);
}

/**
 * Mends a migration over a new link: asks what has arrived, makes the rest dirty, and has the destination
 * go on.
 * @throws {MigrationError} If that fails; it may be tried again.
 */
export async function recover(context: PostcopyContext): Promise<void> {
  const { machine, link } = context;
  const { stream, requests, destination, trouble: { check } } = link;
  const { writer } = stream;
  const blocks = machine.ram.blocks.filter(({ pageCount }) => pageCount > 0);
  for (const block of blocks) writeReceivedQuestion(writer, block);
  await stream.flush(check);
  for (const { name } of blocks) await inTime(context, destination.received(name));
  await link.openPreempt();
  requests!.open();
  writeCommand(writer, Command.POSTCOPY_RESUME);
  await stream.flush(check);
  await inTime(context, destination.resumed());
  await stream.beginPostcopy(check);
}

async function inTime(
  { link, answerTimeout }: PostcopyContext,
  answer: Promise<void>,
): Promise<void> {
  const timer = setTimeout(() => {
    link.trouble.report(
      new ConnectionLostError(`The destination did not answer within ${answerTimeout} ms`, {
        advice: "Look at the destination; it must be told to recover before the source is.",
      }),
    );
  }, answerTimeout);
  try {
    await answer;
  } finally {
    clearTimeout(timer);
  }
}
