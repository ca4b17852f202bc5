/**
 * Every error class a caller can react to, one for each condition.
 *
 * The rooms that decode bytes know only what is wrong and at which offset; `control/` adds the side
 * and the phase with {@linkcode MigrationError.at} before the error leaves the program, so that each
 * message says what, where and what to do.
 *
 * @module
 */

/** Where in a migration something went wrong; every member is optional and filled from inside out. */
export interface FailurePlace {
  /** Which of the two state machines met the failure. */
  readonly side?: "source" | "destination";
  /** The migration status at that moment, spelled as QMP spells it. */
  readonly phase?: string;
  /** The connection: `main`, `multifd 3`, `preempt`, `return path`. */
  readonly channel?: string;
  /** The section of the stream, as `idstr/instance`. */
  readonly section?: string;
  /** Offset in bytes from the start of that channel's stream. */
  readonly offset?: number;
}

/** How a {@linkcode MigrationError} is made. */
export interface MigrationErrorOptions extends ErrorOptions {
  /** Where it happened, as far as the thrower knows. */
  readonly place?: FailurePlace;
  /** One sentence that tells the user what to try. */
  readonly advice?: string;
}

/** What all of Ferry's errors have in common: a cause in words, a place and an advice. */
export class MigrationError extends Error {
  /** The class, for messages. */
  override readonly name: string = "MigrationError";
  #place: FailurePlace;
  /** What the user can try, when there is something. */
  readonly advice: string | undefined;

  /**
   * Makes an error that knows no more than this yet.
   * @param what What went wrong, without the place.
   * @param options The place, the advice, the cause.
   */
  constructor(
    /** What went wrong, without the place. */
    readonly what: string,
    options: MigrationErrorOptions = {},
  ) {
    super(what, options.cause === undefined ? undefined : { cause: options.cause });
    this.#place = options.place ?? {};
    this.advice = options.advice;
    this.#compose();
  }

  /** The message, and what the user can try: for where there is one text and no more. */
  get explanation(): string {
    return this.advice === undefined ? this.message : `${this.message}. ${this.advice}`;
  }

  /** Where it happened. */
  get place(): FailurePlace {
    return this.#place;
  }

  /**
   * Adds what an outer layer knows of the place; what an inner layer said stays.
   * @param outer The members the caller knows.
   * @returns This error.
   */
  at(outer: FailurePlace): this {
    this.#place = { ...outer, ...this.#place };
    this.#compose();
    return this;
  }

  #compose(): void {
    const { side, phase, channel, section, offset } = this.#place;
    const where = [
      side,
      phase && `in ${phase}`,
      channel && `channel ${channel}`,
      section && `section ${section}`,
      offset !== undefined && `at offset 0x${offset.toString(16)}`,
    ].filter(Boolean).join(", ");
    const message = where ? `${this.what} (${where})` : this.what;
    // Names come from the other side: none of them shall write to a terminal what it likes.
    this.message = message.replace(
      /\p{C}/gu,
      (each) => `\\u{${each.codePointAt(0)!.toString(16)}}`,
    );
  }
}

/** The bytes are not what QEMU's format allows. */
export class StreamFormatError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "StreamFormatError";
}

/** The stream or file ended, or the connection was closed or reset, before it was complete. */
export class ConnectionLostError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "ConnectionLostError";
}

/** Well-formed bytes of a machine that does not fit this one: another type, block, device, version. */
export class IncompatibleError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "IncompatibleError";
}

/** The other side said that it failed. */
export class PeerFailedError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "PeerFailedError";
}

/** Somebody cancelled; the source's machine runs on. */
export class CancelledError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "CancelledError";
}

/**
 * The connection was lost after the handover and before the destination confirmed it: the machine may
 * be running there, so it is kept stopped here.
 */
export class HandoverUnknownError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "HandoverUnknownError";
}

/** A capability or parameter that is unknown, out of range, in conflict with another or without effect here. */
export class SettingError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "SettingError";
}

/** A command that this state does not allow. */
export class StateError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "StateError";
}

/** The command line or a URI is not understood (exit status 2). */
export class UsageError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "UsageError";
}

/** Listening, connecting, opening or spawning did not work. */
export class TransportError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "TransportError";
}

/** A worker thread ended or threw. */
export class WorkerFailedError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "WorkerFailedError";
}

/** The guest's own code threw or could not be loaded. */
export class GuestError extends MigrationError {
  /** The class, for messages. */
  override readonly name = "GuestError";
}

/**
 * Makes any thrown value a {@linkcode MigrationError}, so that a place can be added to it.
 * @param thrown What was caught.
 * @returns The same object if it is one already.
 */
export function asMigrationError(thrown: unknown): MigrationError {
  if (thrown instanceof MigrationError) return thrown;
  const what = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return new MigrationError(what, { cause: thrown });
}
