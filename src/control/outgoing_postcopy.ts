/**
 * Postcopy from the source's side (wire-format §8; QEMU `migration/migration.c`, `postcopy_start`,
 * `postcopy_pause`): the machine goes first, its pages follow, over one connection or as many as it takes.
 *
 * @module
 */
import {
  asMigrationError,
  ConnectionLostError,
  type MigrationError,
  PeerFailedError,
  StateError,
} from "../errors.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { Capabilities } from "./capabilities.ts";
import type { MigrationStatus, OutgoingEvent } from "./migration_status.ts";
import type { OutgoingLink } from "./outgoing_link.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingStatistics } from "./outgoing_statistics.ts";
import type { Parameters } from "./parameters.ts";
import {
  ANSWER_TIMEOUT_MS,
  type PostcopyContext,
  recover,
  sendEnd,
  sendRemaining,
  sendSwitch,
  whenItRuns,
} from "./postcopy_steps.ts";

/** The migration around it. */
export interface PostcopyMigration {
  readonly machine: OutgoingMachine;
  readonly statistics: OutgoingStatistics;
  readonly capabilities: Capabilities;
  /** How long a destination may take to answer, in milliseconds. */
  readonly answerTimeout?: number | undefined;
  /** The parameters now. */
  readonly parameters: () => Parameters;
  readonly status: () => MigrationStatus;
  readonly move: (event: OutgoingEvent) => void;
  /** Makes a link the migration's. */
  readonly newLink: (uri: MigrationUri) => OutgoingLink;
  /** All is sent, and the destination's last word is what counts; or it is not, after all. */
  readonly allSent: (isSent: boolean) => void;
}

/** One migration's postcopy. */
export class OutgoingPostcopy {
  #resuming: PromiseWithResolvers<MigrationUri> | undefined;
  #failure: MigrationError | undefined;
  /** All was sent: the destination may be done, and only its word has not come. */
  #unconfirmed = false;
  /** What was sent is not kept. */
  #released = false;

  /** @param migration What it is a part of. */
  constructor(private readonly migration: PostcopyMigration) {}

  /** What broke the last connection. */
  get failure(): MigrationError | undefined {
    return this.#failure;
  }

  /** What the steps over a link need. */
  contextOf(link: OutgoingLink): PostcopyContext {
    const { machine, statistics, parameters, answerTimeout = ANSWER_TIMEOUT_MS } = this.migration;
    return { link, machine, statistics, parameters, answerTimeout };
  }

  /**
   * Hands the machine over and sends what it lacks there. The package has the command that makes the
   * destination run, behind a PING: with its PONG the machine is the destination's, and from then on this
   * side only waits, however often the connection breaks.
   * @param link The first connection; the guest is stopped, and the dirty log synced.
   * @throws {MigrationError} What went wrong before that PONG: the machine is this side's again, as since
   * QEMU 10.2.
   */
  async run(link: OutgoingLink): Promise<void> {
    const context = this.contextOf(link);
    await sendSwitch(context);
    this.migration.move("package-sent");
    const runs = this.#runs(context);
    runs.catch(() => {}); // the steps fail with it
    await this.#sendAll(context, runs);
  }

  /**
   * Sends what the machine lacks there, which another program has handed over: to this side it is paused.
   * @param uri Where the destination waits.
   */
  async takeUp(uri: MigrationUri): Promise<void> {
    const { promise } = this.#resuming = Promise.withResolvers<MigrationUri>();
    this.resume(uri);
    await this.#sendAll(await this.#resumed(promise), Promise.resolve());
  }

  async #sendAll(first: PostcopyContext, runs: Promise<void>): Promise<void> {
    const { status } = this.migration;
    for (let context = first;;) {
      try {
        await sendRemaining(context);
        if (status() === "postcopy-device") await runs;
        return await this.#sendLast(context);
      } catch (thrown) {
        if (status() === "postcopy-device") throw thrown;
        context = await this.#resumed(this.#pause(context.link, asMigrationError(thrown)));
      }
    }
  }

  /**
   * Goes on over another connection; if that fails, the migration is paused as before.
   * @throws {StateError} If it is not paused, or what it has sent is not kept.
   */
  resume(uri: MigrationUri): void {
    const { status, move } = this.migration;
    if (!this.#resuming) {
      throw new StateError(`A migration that is ${status()} cannot be resumed`, {
        advice: "Only one that is postcopy-paused can be.",
      });
    }
    if (this.#released) {
      throw new StateError("With the capability release-ram, what was sent is gone: no resuming");
    }
    const { resolve } = this.#resuming;
    this.#resuming = undefined;
    move("resume");
    resolve(uri);
  }

  async #runs(context: PostcopyContext): Promise<void> {
    const { machine, statistics, capabilities, move } = this.migration;
    await whenItRuns(context);
    context.link.trouble.check();
    statistics.guestRuns();
    move("destination-runs");
    if (!capabilities["release-ram"] || machine.pages) return;
    this.#released = true;
    context.link.requests!.release();
  }

  async #sendLast(context: PostcopyContext): Promise<void> {
    const { destination, trouble } = context.link;
    // First, because with the other end the destination may close both.
    await context.link.endPreempt();
    this.migration.allSent(true);
    this.#unconfirmed = true;
    const sent = sendEnd(context);
    sent.catch(() => {}); // the verdict fails with it
    await trouble.guard(destination.verdict(sent));
  }

  /**
   * The guest runs there and waits for pages: nothing is lost, but the connection.
   * @returns Where to go on, once somebody has said it.
   */
  async #pause(link: OutgoingLink, error: MigrationError): Promise<MigrationUri> {
    const { status, move, allSent } = this.migration;
    const reason = link.trouble.error ?? error;
    reason.at({ side: "source", phase: status() });
    this.#failure = this.#unconfirmed ? unconfirmed(reason) : reason;
    link.trouble.report(reason);
    await link[Symbol.asyncDispose]();
    allSent(false);
    const { promise } = this.#resuming = Promise.withResolvers<MigrationUri>();
    move(status() === "postcopy-active" ? "channel-lost" : "resume-failed");
    return await promise;
  }

  /** Waits for somebody to say where to go on, and tries, until it goes on. */
  async #resumed(said: Promise<MigrationUri>): Promise<PostcopyContext> {
    const { machine: { pages }, parameters, move, newLink } = this.migration;
    for (let where = said;;) {
      const link = newLink(await where);
      const context = this.contextOf(link);
      try {
        await link.connect();
        move("resume-connected");
        const detectZero = parameters()["zero-page-detection"] !== "none";
        await link.start({ encoder: { detectZero, pages }, recovering: true });
        if (link.hasEarlyPreempt) await link.openPreempt();
        await recover(context);
        this.#unconfirmed = false;
        move("resume-acknowledged");
        return context;
      } catch (thrown) {
        where = this.#pause(link, asMigrationError(thrown));
      }
    }
  }
}

/**
 * A QEMU says no more than that the connection was lost, and calls its migration failed. But a destination
 * that is done cannot be recovered, and one that is not must be.
 */
function unconfirmed(cause: MigrationError): MigrationError {
  if (cause instanceof PeerFailedError) return cause;
  return new ConnectionLostError(
    `All of the machine was sent, and the destination did not confirm it: ${cause.what}`,
    {
      cause,
      place: cause.place,
      advice:
        "Look at the destination. If it is completed, the machine is whole there, and this side " +
        "can be ended; if it is postcopy-paused, recover.",
    },
  );
}
