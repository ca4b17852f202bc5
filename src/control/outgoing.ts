/**
 * The outgoing migration: its phases in their order, and one place for everything that goes wrong
 * (wire-format §10; QEMU `migration/migration.c`, `migration_thread`).
 *
 * ```text
 * none → setup → active ⇄ rounds → [pre-switchover] → device ─┬─ handover ─→ completed
 *                   any failure or cancel: the guest runs on ─┘   after it: never again here
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
  StateError,
} from "../errors.ts";
import type { DirtyLogChoice } from "../dirty/choose.ts";
import { HashLog } from "../dirty/hash_log.ts";
import { ReturnPath } from "../postcopy/return_path.ts";
import { OutgoingStream } from "../ram/outgoing_stream.ts";
import { RamSaver } from "../ram/save.ts";
import { Progress } from "../threads/job_ring.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { connect } from "../transport/connect.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { TransportOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import { Command, writeCommand, writePing } from "../wire/command.ts";
import { writeConfiguration } from "../wire/configuration.ts";
import { ElementType } from "../wire/section.ts";
import { writeStreamHeader } from "../wire/stream_header.ts";
import { writeVmDescription } from "../wire/vm_description.ts";
import { sentConfiguration } from "./agreement.ts";
import type { Capabilities } from "./capabilities.ts";
import { DestinationWord } from "./destination_word.ts";
import { expectedDowntimeMs, type RoundFacts, shouldSwitchOver } from "./convergence.ts";
import type { MigrationEvent, MigrationInfo } from "./migration_info.ts";
import {
  type MigrationStatus,
  nextStatus,
  OUTGOING,
  type OutgoingEvent,
} from "./migration_status.ts";
import { OutgoingChannels } from "./outgoing_channels.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import { OutgoingStatistics } from "./outgoing_statistics.ts";
import { OutgoingThrottle } from "./outgoing_throttle.ts";
import { OutgoingXbzrle } from "./outgoing_xbzrle.ts";
import type { Parameters } from "./parameters.ts";
import { RateLimit } from "./rate_limit.ts";
import { StallWatch } from "./stall_watch.ts";
import { tlsTransport } from "./tls_options.ts";
import { Trouble } from "./trouble.ts";

/** How long a connection may take to come about, in milliseconds. */
const CONNECT_TIMEOUT_MS = 30_000;

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
  readonly transport?: Pick<TransportOptions, "handOff" | "vsock">;
  /** Threads that were started before (`spare_threads.ts`); they stay the caller's. */
  readonly spares?: SpareWorkers;
  /**
   * How long a destination may take nothing of what is sent to it; in milliseconds.
   * @default {10000}
   */
  readonly stallTimeout?: number;
}

/** One migration from here to somewhere else. */
export class OutgoingMigration {
  /** Resolves with the final figures; rejects with what ended the migration. */
  readonly completed: Promise<MigrationInfo>;
  readonly #trouble = new Trouble();
  readonly #abort = new AbortController();
  readonly #statistics: OutgoingStatistics;
  readonly #progress = new Progress();
  readonly #destination = new DestinationWord(this.#trouble, () => this.#handedOver);
  readonly #throttle: OutgoingThrottle;
  readonly #xbzrle: OutgoingXbzrle | undefined;
  #parameters: Parameters;
  #status: MigrationStatus = "none";
  #endpoint: Endpoint | undefined;
  #stream: OutgoingStream | undefined;
  #multifd: OutgoingChannels | undefined;
  #stallWatch: StallWatch | undefined;
  #returnPath: ReturnPath | undefined;
  #saver: RamSaver | undefined;
  #log: DirtyLogChoice | undefined;
  #goOn: PromiseWithResolvers<void> | undefined;
  #stopped = false;
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
    this.#trouble.onFailure(() => {
      this.#abort.abort();
      this.#progress.bump();
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
    const failure = this.#failure;
    return {
      ...this.#statistics.info(this.#status, this.#saver?.remaining ?? 0),
      ...this.#throttle.info(),
      ...(this.#xbzrle && { "xbzrle-cache": this.#xbzrle.info() }),
      ...(this.#log && { "dirty-log": this.#log.description }),
      ...(failure && this.#status === "failed" && { "error-desc": failure.message }),
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
    this.#trouble.report(new CancelledError("The migration was cancelled"));
  }

  /** Breaks its connections, as a network would. */
  yank(): void {
    this.#trouble.report(new ConnectionLostError("The connection was broken by yank"));
  }

  /**
   * Goes on after `pause-before-switchover`.
   * @throws {StateError} Unless it waits there.
   */
  continue(): void {
    if (!this.#goOn) throw new StateError(`A migration that is ${this.#status} does not wait`);
    this.#goOn.resolve();
  }

  async #run(): Promise<MigrationInfo> {
    const phases = [
      this.#connect,
      this.#setUp,
      this.#iterate,
      this.#switchOver,
      this.#handOver,
      this.#finish,
    ];
    try {
      for (const phase of phases) await phase.call(this);
    } catch (thrown) {
      await this.#fail(asMigrationError(thrown));
    } finally {
      await this.#cleanUp();
    }
    return this.info();
  }

  async #connect(): Promise<void> {
    const { blockers } = this.machine;
    if (blockers.length > 0) throw new StateError(`The machine cannot be moved: ${blockers[0]}`);
    const { uri, capabilities, spares } = this.options;
    const transport = {
      ...this.options.transport,
      ...await tlsTransport("source", { parameters: this.#parameters, capabilities }),
      signal: this.#abort.signal,
      timeoutMs: CONNECT_TIMEOUT_MS,
    };
    this.#endpoint = await connect(uri, transport);
    this.#watchCommand(this.#endpoint);
    if (capabilities.multifd) {
      const { machine } = this;
      const channels = { uri, machine, parameters: this.#parameters, transport };
      this.#multifd = await OutgoingChannels.connect(channels);
    }
    this.#log = await this.machine.startDirtyLog();
    this.machine.markAllDirty();

    const digests = this.#log?.log instanceof HashLog && { digests: this.#log.log.digests };
    const sender = this.#multifd?.start({
      progress: this.#progress,
      spares,
      ...digests,
      onFailure: (error) => this.#trouble.report(error),
    });
    const twoWay = capabilities["return-path"] && this.#endpoint.direction === "both";
    const halves = twoWay ? this.#endpoint.handOffHalves() : undefined;
    const starting = [
      OutgoingStream.start({
        channel: halves?.write ?? this.#endpoint.handOff(),
        ram: this.machine.ram,
        progress: this.#progress,
        spares,
        encoder: {
          detectZero: this.#parameters["zero-page-detection"] !== "none",
          ...(this.#multifd && { onlyZero: true }),
          ...(this.#xbzrle && { xbzrle: this.#xbzrle.buffer }),
          ...digests,
        },
      }).then((stream) => this.#stream = stream),
      halves &&
      ReturnPath.start(halves.read, this.#destination, spares).then((returnPath) =>
        this.#returnPath = returnPath
      ),
    ];
    // Both are waited for, so that none is left behind when the other fails.
    for (const started of await Promise.allSettled(starting)) {
      if (started.status === "rejected") throw started.reason;
    }
    const stream = this.#stream!;
    stream.ended.catch((error) => this.#trouble.report(asMigrationError(error)));
    this.#statistics.addChannel(stream.counters);
    this.#statistics.addMultifd(sender?.counters ?? []);
    const { ram, ramSectionId } = this.machine;
    this.#saver = this.#multifd?.saver(stream) ?? new RamSaver(ram, stream, stream, ramSectionId);
    this.#stallWatch = new StallWatch(
      () => [stream, ...sender ? [sender] : []],
      (error) => this.#trouble.report(error),
      this.options.stallTimeout,
    );
  }

  async #setUp(): Promise<void> {
    const { writer } = this.#stream!;
    writeStreamHeader(writer);
    writeConfiguration(writer, sentConfiguration(this.machine, this.options.capabilities));
    if (this.#returnPath) {
      writeCommand(writer, Command.OPEN_RETURN_PATH);
      writePing(writer, Ping.OPENED);
    }
    this.#synced(0);
    await this.#saver!.sendStart(this.machine.blocks, this.#trouble.check);
    this.#statistics.setupDone();
    this.#move("setup-done");
  }

  /** Round after round while the guest runs, until what is left fits the downtime. */
  async #iterate(): Promise<void> {
    const saver = this.#saver!;
    const limit = new RateLimit(performance.now());
    const allowance = () =>
      limit.allowance(
        this.#parameters["max-bandwidth"],
        performance.now(),
        this.#statistics.transferred,
      );
    let remainingBefore: number | undefined;
    for (;;) {
      const end = await saver.sendPart({ allowance, check: this.#trouble.check });
      this.#statistics.measure();
      if (end === "limit") await this.#sleep(limit.untilNextSlice(performance.now()));
      if (this.#throttle.wantsSync) await this.#sync();
      if (end !== "round") continue;
      await saver.drained(this.#trouble.check);
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
      if (shouldSwitchOver(facts) && await this.#maySwitchOver()) return;
      remainingBefore = facts.remaining;
    }
  }

  /** With `switchover-ack` the destination must have agreed, unless there is no guest to stop. */
  async #maySwitchOver(): Promise<boolean> {
    if (!this.options.capabilities["switchover-ack"] || !this.machine.running) return true;
    return await this.#destination.acknowledgesSwitchover();
  }

  /** The guest stops; the rest of RAM and the devices follow. */
  async #switchOver(): Promise<void> {
    const wasRunning = this.machine.running;
    this.#statistics.guestStops();
    this.#stopped = true;
    await this.machine.stop();
    if (wasRunning) this.#emit({ event: "STOP" });
    if (this.options.capabilities["pause-before-switchover"]) {
      this.#move("pause-before-switchover");
      this.#goOn = Promise.withResolvers();
      await this.#trouble.guard(this.#goOn.promise);
      this.#goOn = undefined;
    }
    this.#move("switchover");
    await this.#sync();
    const { writer } = this.#stream!;
    if (this.machine.sendsSwitchoverStart) writeCommand(writer, Command.SWITCHOVER_START);
    await this.#saver!.sendEnd(this.#trouble.check);
    await this.#multifd?.end(this.#trouble.check);
  }

  /**
   * The handover. Up to the byte that ends the stream the destination cannot run, and this side can. With
   * that byte it may, so this side must not, whatever happens then: unless the destination says that it
   * failed. To make the time in between short, all else is on its way before, and where there is a return
   * path the destination has confirmed that it has loaded all.
   */
  async #handOver(): Promise<void> {
    const stream = this.#stream!;
    const { check } = this.#trouble;
    const description = this.machine.saveDevices(stream.writer);
    if (this.#returnPath) {
      writePing(stream.writer, Ping.LOADED);
      await stream.flush(check);
      await this.#destination.pong(Ping.LOADED);
    }
    await stream.written(check);
    if (this.#multifd) await this.#trouble.guard(this.#multifd.ended());
    check();
    // Nothing is awaited from here to the byte: either it goes out, or this side still has the machine.
    this.#handedOver = true;
    stream.writer.u8(ElementType.EOF);
    writeVmDescription(stream.writer, description);
    const ended = stream.end(check);
    if (this.#returnPath) return await this.#destination.verdict(ended);
    await ended;
    await this.#endpoint!.finish();
  }

  /** From here on nothing can fail: the machine is the destination's, whatever happens on this side. */
  async #finish(): Promise<void> {
    this.#statistics.guestRuns();
    await this.machine.handedOver().catch(() => {});
    this.#statistics.ended();
    this.#move("done");
  }

  /** The one place for failures: says what is lost, and that is nothing before the handover. */
  async #fail(error: MigrationError): Promise<never> {
    const reason = this.#handedOver ? error : this.#trouble.error ?? error;
    reason.at({ side: "source", phase: this.#status });
    this.#trouble.report(reason);
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
    this.#stallWatch?.[Symbol.dispose]();
    await Promise.allSettled([
      this.#multifd?.[Symbol.asyncDispose](),
      this.#stream?.[Symbol.asyncDispose](),
      this.#returnPath?.[Symbol.asyncDispose](),
      this.machine.stopDirtyLog(),
    ]);
    await this.#endpoint?.close();
  }

  /** A command takes less than a pipe holds without anybody noticing that it has ended. */
  #watchCommand(endpoint: Endpoint): void {
    endpoint.ended?.then((failure) => {
      this.#trouble.report(
        new ConnectionLostError(
          `${endpoint.peer} ended before it had the whole stream: ${failure ?? "exit status 0"}`,
        ),
      );
    });
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

  async #sleep(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    try {
      await this.#trouble.guard(promise);
    } finally {
      clearTimeout(timer);
    }
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
      this.#trouble.report(asMigrationError(error));
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
