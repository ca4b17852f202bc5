/**
 * Mends a postcopy whose connection is lost, in programs that nobody drives by QMP: the destination listens
 * again where it did before, and the source tries to get there, for as long as it takes.
 *
 * @module
 */
import type { MigrationControl } from "../control/migration_control.ts";
import type { MigrationEvent } from "../control/migration_info.ts";
import type { MigrationStatus } from "../control/migration_status.ts";
import { asMigrationError, StateError } from "../errors.ts";
import { formatUri, parseUri } from "../transport/uri.ts";
import type { CliEvent } from "./output.ts";

/** How long a source's first try waits: the destination may notice the loss later; in milliseconds. */
const FIRST_TRY_MS = 200;
/** How long to wait between two tries, in milliseconds. */
const RETRY_MS = 1000;

/** Where one program's words go. */
export interface MendingOutput {
  say(words: string): void;
  warn(words: string): void;
  event(event: CliEvent): void;
}

/** What the two sides have in common. */
abstract class Mending implements Disposable {
  readonly #stopListening: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What was said of this pause. */
  readonly #reasons = new Set<string>();
  #isExplained = false;
  #tried = false;

  /**
   * Begins to look after the control's migrations.
   * @param control Whose they are.
   * @param output Where it is said what is tried.
   */
  constructor(
    protected readonly control: MigrationControl,
    protected readonly output: MendingOutput,
  ) {
    this.#stopListening = control.onEvent((event) => this.#event(event));
  }

  /** The migration's status. */
  protected abstract get status(): MigrationStatus | undefined;
  /** How long the first try of each pause waits, in milliseconds. */
  protected abstract readonly patience: number;
  /** What is tried, and what to do there; a line each. */
  protected abstract explain(): string[];
  /** Tries to go on. @throws {MigrationError} If that did not work; it is tried again. */
  protected abstract go(): Promise<void>;

  /** Leaves pauses to others. */
  [Symbol.dispose](): void {
    this.#stopListening();
    clearTimeout(this.#timer);
  }

  #event(event: MigrationEvent): void {
    if (event.event !== "MIGRATION") return;
    const { status } = event.data;
    clearTimeout(this.#timer);
    if (status === "postcopy-paused") return this.#paused();
    if (status !== "postcopy-active") return;
    if (this.#isExplained) this.output.say("The connection is mended: the rest follows");
    this.#reasons.clear();
    this.#isExplained = this.#tried = false;
  }

  #paused(): void {
    this.#tell(this.control.info()["error-desc"]);
    this.#timer = setTimeout(() => this.#try(), this.#tried ? RETRY_MS : this.patience);
    this.#tried = true;
  }

  async #try(): Promise<void> {
    try {
      if (this.status === "postcopy-paused") await this.go();
    } catch (error) {
      // Who was faster has it.
      if (this.status !== "postcopy-paused") return;
      this.#tell(asMigrationError(error).explanation);
      // What is refused now will always be, such as to send what was given back (release-ram).
      if (error instanceof StateError) return this.output.warn("       It cannot be mended");
      this.#timer = setTimeout(() => this.#try(), RETRY_MS);
    }
  }

  /** Each reason is said once, and what to do at the first one. */
  #tell(reason: string | undefined): void {
    if (reason === undefined || this.#reasons.has(reason)) return;
    this.#reasons.add(reason);
    this.output.warn(`ferry: ${reason}`);
    if (this.#isExplained) return;
    this.#isExplained = true;
    for (const line of this.explain()) this.output.warn(`       ${line}`);
  }
}

/** Mends what leaves: tries to connect again. */
export class OutgoingMending extends Mending {
  protected override readonly patience = FIRST_TRY_MS;
  readonly #uri: string;
  readonly #end: string;

  /**
   * @param control Whose migration it is.
   * @param uri Where the destination will listen.
   * @param kept What becomes of the machine if this program ends, in a sentence.
   */
  constructor(control: MigrationControl, output: MendingOutput, uri: string, kept: string) {
    super(control, output);
    this.#uri = uri;
    this.#end = kept;
  }

  protected override get status(): MigrationStatus | undefined {
    return this.control.outgoing?.status;
  }

  protected override explain(): string[] {
    return [
      "It is postcopy-paused: the machine is the destination's, and the pages that it lacks are here.",
      `Trying ${this.#uri} every second. A Ferry listens there again by itself, a QEMU when its QMP`,
      `is told: migrate-recover uri=${this.#uri}`,
      this.#end,
    ];
  }

  protected override async go(): Promise<void> {
    await this.control.migrate(this.#uri, { resume: true });
  }
}

/** Mends what arrives: listens again. */
export class IncomingMending extends Mending {
  protected override readonly patience = 0;
  readonly #uri: string | undefined;

  /**
   * @param control Whose migration it is.
   * @param uri Where to listen; where it did before, if it is not said.
   */
  constructor(control: MigrationControl, output: MendingOutput, uri: string | undefined) {
    super(control, output);
    this.#uri = uri;
  }

  protected override get status(): MigrationStatus | undefined {
    return this.control.incoming?.status;
  }

  protected override explain(): string[] {
    return [
      "It is postcopy-paused: the machine is here, and the pages that it lacks are at the source.",
      "It is lost if this program ends before they have come.",
    ];
  }

  protected override async go(): Promise<void> {
    const { control, output } = this;
    const uri = this.#uri === undefined ? await control.incoming!.listening : parseUri(this.#uri);
    const at = formatUri(await control.recover(uri));
    output.event({ event: "LISTENING", data: { uri: at } });
    output.say(
      `Listening on ${at} for the source again. A Ferry there tries the address it had by itself, ` +
        `a QEMU when its QMP is told: migrate uri=${at} resume=true`,
    );
  }
}
