/**
 * The outgoing migration: its phases in their order, and one place for everything that goes wrong
 * (wire-format §10; QEMU `migration/migration.c`, `migration_thread`).
 *
 * ```text
 * none → setup → active ⇄ rounds → [pre-switchover] → device ─┬─ handover ─→ completed
 *                   any failure or cancel: the guest runs on ─┘   after it: never again here
 *
 * with postcopy:          device → postcopy-device → postcopy-active ─→ completed
 *   failure: the guest runs on ────┘                      ⇅  ⇅ any failure, again and again
 *                                     postcopy-paused ⇄ postcopy-recover(-setup)
 * ```
 *
 * @module
 */
import {
  asMigrationError,
  CancelledError,
  ConnectionLostError,
  HandoverUnknownError,
  type MigrationError,
  PeerFailedError,
  SettingError,
  StateError,
} from "../errors.ts";
import type { DirtyLogChoice } from "../dirty/choose.ts";
import { HashLog } from "../dirty/hash_log.ts";
import { writeAdvise } from "../postcopy/source_commands.ts";
import { RamSaver } from "../ram/save.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { SocketOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import { Command, writeCommand, writePing } from "../wire/command.ts";
import { type Configuration, writeConfiguration } from "../wire/configuration.ts";
import { ElementType } from "../wire/section.ts";
import { writeStreamHeader } from "../wire/stream_header.ts";
import { writeVmDescription } from "../wire/vm_description.ts";
import { sentConfiguration } from "./agreement.ts";
import type { Capabilities } from "./capabilities.ts";
import { expectedDowntimeMs, type RoundFacts, shouldSwitchOver } from "./convergence.ts";
import type { MigrationEvent, MigrationInfo } from "./migration_info.ts";
import {
  type MigrationStatus,
  nextStatus,
  OUTGOING,
  type OutgoingEvent,
} from "./migration_status.ts";
import { OutgoingChannels } from "./outgoing_channels.ts";
import { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import { OutgoingPostcopy } from "./outgoing_postcopy.ts";
import { OutgoingStatistics } from "./outgoing_statistics.ts";
import { OutgoingThrottle } from "./outgoing_throttle.ts";
import { OutgoingXbzrle } from "./outgoing_xbzrle.ts";
import type { Parameters } from "./parameters.ts";
import { requireAllPages, settlePreempt } from "./postcopy_steps.ts";
import { RateLimit } from "./rate_limit.ts";

/** Numbers in PING, which PONG repeats. */
const Ping = {
  /** After the return path was opened: the destination has understood the beginning. */
  OPENED: 1,
  /** Before the end of the stream: the destination has loaded everything. The number is ours. */
  LOADED: 0x46,
} as const;

/** What a migration is told. */
export interface OutgoingOptions {
  readonly uri: MigrationUri;
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
  /** Gets the events QMP would emit, and is to return soon. */
  readonly onEvent?: (event: MigrationEvent) => void;
  readonly transport?: SocketOptions;
  /** Threads that were started before (`spare_threads.ts`); they stay the caller's. */
  readonly spares?: SpareWorkers;
  /**
   * How long a destination may take nothing of what is sent to it; in milliseconds.
   * @default {10000}
   */
  readonly stallTimeout?: number;
  /**
   * How long a destination may take to load its devices in postcopy, and to answer while a broken
   * migration is mended; in milliseconds.
   * @default {30000}
   */
  readonly answerTimeout?: number;
}

/** One migration from here to somewhere else. */
export class OutgoingMigration {
  /**
   * Resolves with the final figures; rejects with what ended the migration. While it is `postcopy-paused` it
   * has not ended.
   */
  readonly completed: Promise<MigrationInfo>;
  readonly #statistics: OutgoingStatistics;
  readonly #throttle: OutgoingThrottle;
  readonly #xbzrle: OutgoingXbzrle | undefined;
  #parameters: Parameters;
  #status: MigrationStatus = "none";
  #link: OutgoingLink;
  #multifd: OutgoingChannels | undefined;
  #saver: RamSaver | undefined;
  #log: DirtyLogChoice | undefined;
  #goOn: PromiseWithResolvers<void> | undefined;
  readonly #postcopy: OutgoingPostcopy;
  #postcopyWanted = false;
  #stopped = false;
  /** All has been sent: it is the destination's to say what became of it. */
  #handedOver = false;
  #failure: MigrationError | undefined;

  /**
   * Begins; what becomes of it is said by {@linkcode OutgoingMigration.completed}.
   * @param machine What is moved.
   * @param options Where to and how.
   */
  constructor(
    private readonly machine: OutgoingMachine,
    private readonly options: OutgoingOptions,
  ) {
    this.#parameters = options.parameters;
    this.#statistics = new OutgoingStatistics(machine.ram);
    this.#throttle = new OutgoingThrottle(machine, options.capabilities);
    if (options.capabilities.xbzrle) {
      this.#xbzrle = new OutgoingXbzrle(options.parameters, machine.ram.pageSize);
    }
    this.#link = this.#newLink(options.uri);
    this.#postcopy = new OutgoingPostcopy({
      ...{ machine, statistics: this.#statistics },
      ...{ capabilities: options.capabilities, answerTimeout: options.answerTimeout },
      parameters: () => this.#parameters,
      status: () => this.#status,
      move: (event) => this.#move(event),
      newLink: (uri) => this.#link = this.#newLink(uri),
      allSent: (isSent) => this.#handedOver = isSent,
    });
    this.#move("start");
    this.completed = this.#run();
    this.completed.catch(() => {});
  }

  /** What the migration is doing. */
  get status(): MigrationStatus {
    return this.#status;
  }

  /** The object that `query-migrate` returns. */
  info(): MigrationInfo {
    const paused = this.#status === "postcopy-paused";
    const failure = paused ? this.#postcopy.failure : this.#failure;
    const tellsFailure = paused || this.#status === "failed";
    return {
      ...this.#statistics.info(this.#status, this.#saver?.remaining ?? 0),
      ...this.#throttle.info(),
      ...(this.#xbzrle && { "xbzrle-cache": this.#xbzrle.info() }),
      ...(this.#log && { "dirty-log": this.#log.description }),
      ...(failure && tellsFailure && { "error-desc": failure.message }),
    };
  }

  /** Changes parameters under way; what they allow changes at once. */
  setParameters(parameters: Parameters): void {
    this.#parameters = parameters;
    this.#xbzrle?.setParameters(parameters);
  }

  /**
   * Gives up; the guest runs on here.
   * @throws {StateError} If it is over, or too late: the destination may be running the guest.
   */
  cancel(): void {
    if (this.#handedOver) {
      throw new StateError("Too late to cancel: the machine has been handed over");
    }
    if (!nextStatus(OUTGOING, this.#status, "cancel")) {
      throw new StateError(`A migration that is ${this.#status} cannot be cancelled`);
    }
    this.#move("cancel");
    this.#link.trouble.report(new CancelledError("The migration was cancelled"));
  }

  /** Breaks its connections, as a network would. */
  yank(): void {
    this.#link.trouble.report(new ConnectionLostError("The connection was broken by yank"));
  }

  /**
   * Goes on after `pause-before-switchover`.
   * @throws {StateError} Unless it waits there.
   */
  continue(): void {
    if (!this.#goOn) throw new StateError(`A migration that is ${this.#status} does not wait`);
    this.#goOn.resolve();
  }

  /**
   * Lets the machine run at the destination as soon as can be; the pages that it lacks follow. If all of
   * them get there before, this changes nothing.
   * @throws {StateError} Unless the capability `postcopy-ram` was on when the migration began.
   */
  startPostcopy(): void {
    if (!this.#hasPostcopy) {
      throw new StateError("The migration was begun without the capability postcopy-ram", {
        advice: "Turn it on at both sides before the migration.",
      });
    }
    this.#postcopyWanted = true;
  }

  /**
   * Breaks the connection of a migration whose guest runs at the destination (QMP `migrate-pause`).
   * @throws {StateError} If the guest does not run there.
   */
  pause(): void {
    if (!nextStatus(OUTGOING, this.#status, "channel-lost")) {
      throw new StateError(`A migration that is ${this.#status} cannot be paused`, {
        advice: "Only one in postcopy can be.",
      });
    }
    this.#link.trouble.report(new ConnectionLostError("The migration was paused"));
  }

  /**
   * Goes on with a migration that is `postcopy-paused` over a new connection (QMP `migrate` with `resume`).
   * If that fails, it is paused as before.
   * @param uri Where the destination waits.
   * @throws {StateError} If it is not paused, or what it has sent is not kept.
   */
  resume(uri: MigrationUri): void {
    this.#postcopy.resume(uri);
  }

  get #configuration(): Configuration {
    return sentConfiguration(this.machine, this.options.capabilities);
  }

  get #hasPostcopy(): boolean {
    return this.options.capabilities["postcopy-ram"];
  }

  async #run(): Promise<MigrationInfo> {
    try {
      await this.#connect();
      await this.#setUp();
      const end = await this.#iterate();
      await this.#stop();
      if (end === "postcopy") await this.#runThere();
      else await this.#handOver();
      await this.#finish();
    } catch (thrown) {
      await this.#fail(asMigrationError(thrown));
    } finally {
      await this.#cleanUp();
    }
    return this.info();
  }

  #newLink(uri: MigrationUri): OutgoingLink {
    const { capabilities, transport, spares, stallTimeout } = this.options;
    return new OutgoingLink({
      ...{ uri, capabilities, transport, spares, stallTimeout },
      ...{ machine: this.machine, statistics: this.#statistics, parameters: this.#parameters },
      allSent: () => this.#handedOver,
    });
  }

  async #connect(): Promise<void> {
    const { blockers, pages, ram, ramSectionId } = this.machine;
    if (blockers.length > 0) throw new StateError(`The machine cannot be moved: ${blockers[0]}`);
    const { uri, capabilities, spares } = this.options;
    if (pages && capabilities.multifd) {
      throw new SettingError("The channels of multifd cannot send pages that are not in memory", {
        advice: "Load the image, or turn the capability multifd off.",
      });
    }
    const link = this.#link;
    await link.connect();
    if (capabilities.multifd) {
      const { machine } = this;
      const channels = { uri, machine, parameters: this.#parameters, transport: link.transport };
      this.#multifd = await OutgoingChannels.connect(channels);
    }
    this.#log = await this.machine.startDirtyLog();
    this.machine.markAllDirty();
    if (this.#hasPostcopy) requireAllPages(this.machine);

    const digests = this.#log?.log instanceof HashLog && { digests: this.#log.log.digests };
    const sender = this.#multifd?.start({
      progress: link.progress,
      spares,
      ...digests,
      onFailure: (error) => link.trouble.report(error),
    });
    await link.start({
      encoder: {
        ...{ detectZero: this.#detectsZero, pages, ...digests },
        ...(this.#multifd && { onlyZero: true }),
        ...(this.#xbzrle && { xbzrle: this.#xbzrle.buffer }),
      },
      recovering: false,
      others: sender ? [sender] : [],
    });
    if (link.hasEarlyPreempt) await link.openPreempt();
    this.#statistics.addMultifd(sender?.counters ?? []);
    const { stream } = link;
    this.#saver = this.#multifd?.saver(stream) ?? new RamSaver(ram, stream, stream, ramSectionId);
  }

  get #detectsZero(): boolean {
    return this.#parameters["zero-page-detection"] !== "none";
  }

  async #setUp(): Promise<void> {
    const { stream: { writer }, returnPath, trouble } = this.#link;
    writeStreamHeader(writer);
    writeConfiguration(writer, this.#configuration);
    if (returnPath) {
      writeCommand(writer, Command.OPEN_RETURN_PATH);
      writePing(writer, Ping.OPENED);
    }
    if (this.#hasPostcopy) writeAdvise(writer, this.machine.ram);
    this.#synced(0);
    await this.#saver!.sendStart(this.machine.blocks, trouble.check);
    this.#statistics.setupDone();
    this.#move("setup-done");
  }

  /** Round after round while the guest runs, until what is left fits the downtime, or it is to run there. */
  async #iterate(): Promise<"precopy" | "postcopy"> {
    const saver = this.#saver!;
    const { check } = this.#link.trouble;
    const limit = new RateLimit(performance.now());
    const allowance = () =>
      limit.allowance(
        this.#parameters["max-bandwidth"],
        performance.now(),
        this.#statistics.transferred,
      );
    let remainingBefore: number | undefined;
    while (!this.#postcopyWanted || !await this.#maySwitchOver()) {
      const end = await saver.sendPart({ allowance, check });
      this.#statistics.measure();
      if (end === "limit") await this.#link.sleep(limit.untilNextSlice(performance.now()));
      if (this.#throttle.wantsSync) await this.#sync();
      if (end !== "round") continue;
      await saver.drained(check);
      this.#statistics.measure(true);
      await this.#sync();
      const facts: RoundFacts = {
        remaining: saver.remaining,
        remainingBefore,
        bandwidth: this.#parameters["avail-switchover-bandwidth"] / 1000 ||
          this.#statistics.bandwidth,
        downtimeLimitMs: this.#parameters["downtime-limit"],
      };
      this.#statistics.expectedDowntime = expectedDowntimeMs(facts);
      if (shouldSwitchOver(facts) && await this.#maySwitchOver()) return "precopy";
      remainingBefore = facts.remaining;
    }
    await settlePreempt(this.#postcopy.contextOf(this.#link), Ping.OPENED);
    await saver.drained(check);
    return "postcopy";
  }

  /** With `switchover-ack` the destination must have agreed, unless there is no guest to stop. */
  async #maySwitchOver(): Promise<boolean> {
    if (!this.options.capabilities["switchover-ack"] || !this.machine.running) return true;
    return await this.#link.destination.acknowledgesSwitchover();
  }

  /** The guest stops, and what it has written is known. */
  async #stop(): Promise<void> {
    const wasRunning = this.machine.running;
    this.#statistics.guestStops();
    this.#stopped = true;
    await this.machine.stop();
    if (wasRunning) this.#emit({ event: "STOP" });
    if (this.options.capabilities["pause-before-switchover"]) {
      this.#move("pause-before-switchover");
      this.#goOn = Promise.withResolvers();
      await this.#link.trouble.guard(this.#goOn.promise);
      this.#goOn = undefined;
    }
    this.#move("switchover");
    await this.#sync();
  }

  /**
   * The handover. Up to the byte that ends the stream the destination cannot run, and this side can. With
   * that byte it may, so this side must not, whatever happens then: unless the destination says that it
   * failed. To make the time in between short, all else is on its way before, and where there is a return
   * path the destination has confirmed that it has loaded all.
   */
  async #handOver(): Promise<void> {
    const { stream, returnPath, destination, trouble } = this.#link;
    const { check } = trouble;
    if (this.machine.sendsSwitchoverStart) writeCommand(stream.writer, Command.SWITCHOVER_START);
    await this.#saver!.sendEnd(check);
    await this.#multifd?.end(check);
    const description = this.machine.saveDevices(stream.writer, this.#configuration);
    if (returnPath) {
      writePing(stream.writer, Ping.LOADED);
      await stream.flush(check);
      await destination.pong(Ping.LOADED);
    }
    await stream.written(check);
    if (this.#multifd) await trouble.guard(this.#multifd.ended());
    check();
    // Nothing is awaited from here to the byte: either it goes out, or this side still has the machine.
    this.#handedOver = true;
    stream.writer.u8(ElementType.EOF);
    writeVmDescription(stream.writer, description);
    const ended = stream.end(check);
    if (returnPath) await destination.verdict(ended);
    else {
      await ended;
      await this.#link.finish();
    }
    this.#statistics.guestRuns();
  }

  /** The handover by postcopy. Multifd channels have done their part: what is left goes over the main one. */
  async #runThere(): Promise<void> {
    const { trouble } = this.#link;
    if (this.#multifd) {
      await this.#saver!.sendSync(trouble.check);
      await this.#multifd.end(trouble.check);
      await trouble.guard(this.#multifd.ended());
    }
    await this.#postcopy.run(this.#link);
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────

  /** From here on nothing can fail: the machine is the destination's, whatever happens on this side. */
  async #finish(): Promise<void> {
    await this.machine.handedOver().catch(() => {});
    this.#statistics.ended();
    this.#move("done");
  }

  /** The one place for failures: says what is lost, and that is nothing before the handover. */
  async #fail(error: MigrationError): Promise<never> {
    const { trouble } = this.#link;
    const reason = this.#handedOver ? error : trouble.error ?? error;
    reason.at({ side: "source", phase: this.#status });
    trouble.report(reason);
    const mayRunThere = this.#handedOver && !(reason instanceof PeerFailedError) &&
      this.options.uri.kind !== "file";
    if (this.#stopped && !mayRunThere) await this.#runOn().catch((also) => reason.cause ??= also);
    this.#statistics.ended();
    this.#failure = mayRunThere ? handoverUnknown(reason) : reason;
    this.#move(this.#status === "cancelling" ? "cleaned-up" : "error");
    throw this.#failure;
  }

  async #runOn(): Promise<void> {
    await this.machine.runOn();
    this.#stopped = false;
    if (this.machine.running) this.#emit({ event: "RESUME" });
  }

  async #cleanUp(): Promise<void> {
    this.#throttle.end();
    await Promise.allSettled([
      this.#multifd?.[Symbol.asyncDispose](),
      this.#link[Symbol.asyncDispose](),
      this.machine.stopDirtyLog(),
    ]);
  }

  async #sync(): Promise<void> {
    this.#synced(await this.#log?.log.sync() ?? 0);
    const { syncs, pages } = this.#statistics;
    this.#xbzrle?.synced(syncs, pages, this.#stopped);
  }

  #synced(dirtied: number): void {
    this.#statistics.synced(dirtied);
    const bytes = dirtied * this.machine.ram.pageSize;
    this.#throttle.synced(bytes, this.#statistics.transferred, this.#parameters);
    this.#emit({ event: "MIGRATION_PASS", data: { pass: this.#statistics.syncs } });
  }

  #move(event: OutgoingEvent): void {
    const next = nextStatus(OUTGOING, this.#status, event);
    if (!next) throw new StateError(`A migration that is ${this.#status} cannot ${event}`);
    this.#status = next;
    this.#emit({ event: "MIGRATION", data: { status: next } });
  }

  #emit(event: MigrationEvent): void {
    try {
      this.options.onEvent?.(event);
    } catch (error) {
      this.#link.trouble.report(asMigrationError(error));
    }
  }
}

function handoverUnknown(cause: MigrationError): HandoverUnknownError {
  return new HandoverUnknownError(
    `The destination has the whole machine and did not confirm that it runs: ${cause.what}`,
    {
      cause,
      place: cause.place,
      advice: "Look at the destination; start the machine here only if it does not run there.",
    },
  );
}
