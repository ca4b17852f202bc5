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
 *                      taken up: none → postcopy-paused ⇄ postcopy-recover(-setup)
 * ```
 *
 * @module
 */
import {
  asMigrationError,
  CancelledError,
  ConnectionLostError,
  type MigrationError,
  PeerFailedError,
  StateError,
} from "../errors.ts";
import type { MigrationUri } from "../transport/uri.ts";
import { sentConfiguration } from "./agreement.ts";
import { AnnouncedStatus } from "./announced_status.ts";
import type { MigrationInfo } from "./migration_info.ts";
import { type MigrationStatus, OUTGOING, type OutgoingEvent } from "./migration_status.ts";
import { PING_OPENED, waitForUnplug } from "./outgoing_beginning.ts";
import { handOver, handoverUnknown } from "./outgoing_handover.ts";
import { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingOptions } from "./outgoing_options.ts";
import { OutgoingPostcopy } from "./outgoing_postcopy.ts";
import { OutgoingRam } from "./outgoing_ram.ts";
import { sendRounds } from "./outgoing_rounds.ts";
import { OutgoingStatistics } from "./outgoing_statistics.ts";
import { OutgoingThrottle } from "./outgoing_throttle.ts";
import type { Parameters } from "./parameters.ts";
import { settlePreempt } from "./postcopy_steps.ts";

/** One migration from here to somewhere else. */
export class OutgoingMigration {
  /**
   * Resolves with the final figures; rejects with what ended the migration. While it is `postcopy-paused` it
   * has not ended.
   */
  readonly completed: Promise<MigrationInfo>;
  /** Resolves when the address is connected or open; rejects with what ended the migration before. */
  readonly opened: Promise<unknown>;
  readonly #status: AnnouncedStatus<OutgoingEvent>;
  readonly #statistics: OutgoingStatistics;
  readonly #throttle: OutgoingThrottle;
  readonly #ram: OutgoingRam;
  readonly #postcopy: OutgoingPostcopy;
  #parameters: Parameters;
  #link: OutgoingLink;
  #goOn: PromiseWithResolvers<void> | undefined;
  #postcopyWanted = false;
  #stopped = false;
  /** All has been sent: it is the destination's to say what became of it. */
  #handedOver = false;
  #failure: MigrationError | undefined;

  /**
   * Begins; what becomes of it is said by {@linkcode OutgoingMigration.completed}.
   * @param machine What is moved.
   * @param options Where to and how.
   * @throws {IncompatibleError} If a migration is to be taken up, and a page is not here.
   */
  constructor(
    private readonly machine: OutgoingMachine,
    private readonly options: OutgoingOptions,
  ) {
    const { capabilities, uri, spares, answerTimeout, onEvent } = options;
    this.#parameters = options.parameters;
    this.#status = new AnnouncedStatus({
      ...{ table: OUTGOING, who: "A migration", onEvent },
      onListenerFailure: (error) => this.#link.trouble.report(error),
    });
    const statistics = this.#statistics = new OutgoingStatistics(
      machine.ram,
      options.parameters["downtime-limit"],
    );
    const throttle = this.#throttle = new OutgoingThrottle(machine, capabilities);
    const rest = { machine, capabilities, statistics, parameters: () => this.#parameters };
    this.#ram = new OutgoingRam({
      ...{ ...rest, uri, spares, throttle },
      emit: (event) => this.#status.emit(event),
    });
    this.#link = this.#newLink(uri);
    this.#postcopy = new OutgoingPostcopy({
      ...{ ...rest, answerTimeout },
      status: () => this.status,
      move: (event) => this.#status.move(event),
      newLink: (uri) => this.#link = this.#newLink(uri),
      allSent: (isSent) => this.#handedOver = isSent,
    });
    if (options.takesUp) this.#ram.takeUp();
    this.#status.move(options.takesUp ? "take-up" : "start");
    this.completed = this.#run();
    this.completed.catch(() => {});
    this.opened = Promise.race([this.#link.opened, this.completed]);
    this.opened.catch(() => {});
  }

  /** What the migration is doing. */
  get status(): MigrationStatus {
    return this.#status.now;
  }

  /** The object that `query-migrate` returns. */
  info(): MigrationInfo {
    const paused = this.status === "postcopy-paused";
    const failure = paused ? this.#postcopy.failure : this.#failure;
    const tellsFailure = paused || this.status === "failed";
    return {
      ...this.#statistics.info(this.status, this.#ram.remaining),
      ...this.#throttle.info(),
      ...this.#ram.info(),
      ...(failure && tellsFailure && { "error-desc": failure.explanation }),
    };
  }

  /** Changes parameters under way; what they allow changes at once. */
  setParameters(parameters: Parameters): void {
    this.#parameters = parameters;
    this.#ram.setParameters(parameters);
  }

  /**
   * Gives up; the guest runs on here.
   * @throws {StateError} If it is over, or too late: the destination may be running the guest.
   */
  cancel(): void {
    if (this.#handedOver) {
      throw new StateError("Too late to cancel: the machine has been handed over");
    }
    if (!this.#status.allows("cancel")) {
      throw new StateError(`A migration that is ${this.status} cannot be cancelled`);
    }
    this.#status.move("cancel");
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
    if (!this.#goOn) throw new StateError(`A migration that is ${this.status} does not wait`);
    this.#goOn.resolve();
  }

  /**
   * Lets the machine run at the destination as soon as can be; the pages that it lacks follow. If all of
   * them get there before, this changes nothing.
   * @throws {StateError} Unless the capability `postcopy-ram` was on when the migration began.
   */
  startPostcopy(): void {
    if (!this.options.capabilities["postcopy-ram"]) {
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
    if (!this.#status.allows("channel-lost")) {
      throw new StateError(`A migration that is ${this.status} cannot be paused`, {
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

  async #run(): Promise<MigrationInfo> {
    try {
      await (this.options.takesUp ? this.#takeUp() : this.#move());
      await this.#finish();
    } catch (thrown) {
      await this.#fail(asMigrationError(thrown));
    } finally {
      await this.#cleanUp();
    }
    return this.info();
  }

  async #move(): Promise<void> {
    await this.#connect();
    await this.#setUp();
    const end = await this.#iterate();
    await this.#stop();
    if (end === "postcopy") await this.#runThere();
    else await this.#handOver();
  }

  /** Goes on where another program ended. */
  async #takeUp(): Promise<void> {
    this.#statistics.guestRuns();
    await this.#postcopy.takeUp(this.options.uri);
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
    const [blocker] = this.machine.blockers;
    if (blocker !== undefined) throw new StateError(`The machine cannot be moved: ${blocker}`);
    await this.#ram.open(this.#link);
  }

  async #setUp(): Promise<void> {
    this.#ram.synced(0);
    await this.#ram.sendStart(this.#link.trouble.check);
    await waitForUnplug(
      this.machine,
      this.#link.trouble,
      (devices) => {
        for (const device of devices) {
          this.#status.emit({ event: "UNPLUG_PRIMARY", data: { "device-id": device } });
        }
        this.#status.move("unplug-pending");
      },
    );
    this.#statistics.setupDone();
    this.#status.move("setup-done");
  }

  async #iterate(): Promise<"precopy" | "postcopy"> {
    const link = this.#link;
    const end = await sendRounds({
      ...{ link, ram: this.#ram, statistics: this.#statistics, throttle: this.#throttle },
      ...{ machine: this.machine, capabilities: this.options.capabilities },
      parameters: () => this.#parameters,
      postcopyWanted: () => this.#postcopyWanted,
    });
    if (end === "postcopy") {
      await settlePreempt(this.#postcopy.contextOf(link), PING_OPENED);
      await this.#ram.saver.drained(link.trouble.check);
    }
    return end;
  }

  /** The guest stops, and what it has written is known. */
  async #stop(): Promise<void> {
    const wasRunning = this.machine.running;
    this.#statistics.guestStops();
    this.#stopped = true;
    await this.machine.stop();
    if (wasRunning) this.#status.emit({ event: "STOP" });
    if (this.options.capabilities["pause-before-switchover"]) {
      this.#status.move("pause-before-switchover");
      this.#goOn = Promise.withResolvers();
      await this.#link.trouble.guard(this.#goOn.promise);
      this.#goOn = undefined;
    }
    this.#status.move("switchover");
    await this.#ram.sync(true);
  }

  async #handOver(): Promise<void> {
    await handOver({
      ...{ machine: this.machine, link: this.#link, ram: this.#ram },
      sent: sentConfiguration(this.machine, this.options.capabilities),
      allSent: () => this.#handedOver = true,
    });
    this.#statistics.guestRuns();
  }

  /** The handover by postcopy. Multifd channels have done their part: what is left goes over the main one. */
  async #runThere(): Promise<void> {
    const { trouble } = this.#link;
    const { channels, saver } = this.#ram;
    if (channels) {
      await saver.sendSync(trouble.check);
      await channels.end(trouble.check);
      await trouble.guard(channels.ended());
    }
    await this.#postcopy.run(this.#link);
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────

  /** From here on nothing can fail: the machine is the destination's, whatever happens on this side. */
  async #finish(): Promise<void> {
    await this.machine.handedOver().catch(() => {});
    this.#statistics.ended();
    this.#status.move("done");
  }

  /** The one place for failures: says what is lost, and that is nothing before the handover. */
  async #fail(error: MigrationError): Promise<never> {
    const { trouble } = this.#link;
    const reason = this.#handedOver ? error : trouble.error ?? error;
    reason.at({ side: "source", phase: this.status });
    trouble.report(reason);
    const mayRunThere = this.#handedOver && !(reason instanceof PeerFailedError) &&
      this.options.uri.kind !== "file";
    if (this.#stopped && !mayRunThere) await this.#runOn().catch((also) => reason.cause ??= also);
    this.#statistics.ended();
    this.#failure = mayRunThere ? handoverUnknown(reason) : reason;
    this.#status.move(this.status === "cancelling" ? "cleaned-up" : "error");
    throw this.#failure;
  }

  async #runOn(): Promise<void> {
    await this.machine.runOn();
    this.#stopped = false;
    if (this.machine.running) this.#status.emit({ event: "RESUME" });
  }

  async #cleanUp(): Promise<void> {
    this.#throttle.end();
    await Promise.allSettled([
      this.#ram[Symbol.asyncDispose](),
      this.#link[Symbol.asyncDispose](),
    ]);
  }
}
