/**
 * QMP's events as they come, from QEMU's monitor or from Ferry's `--json`, and waiting for them.
 *
 * @module
 */
import { EventLog } from "./event_log.ts";
import { isJsonObject, type JsonObject } from "./json.ts";

/** One event, as QMP writes it. */
export interface QmpEvent {
  readonly event: string;
  readonly data: JsonObject;
}

/** The statuses after which a migration does nothing more. */
const TERMINAL: readonly string[] = ["completed", "failed", "cancelled"];

/** A migration ended in another way than the test waits for. */
export class UnexpectedStatusError extends Error {
  override readonly name = "UnexpectedStatusError";

  /**
   * @param status What it ended with.
   * @param history All statuses up to there.
   * @param wanted What the test waits for.
   */
  constructor(readonly status: string, history: readonly string[], wanted: readonly string[]) {
    super(`Migration status went ${history.join(", ")} while waiting for ${wanted.join(" or ")}`);
  }
}

/**
 * Takes an event out of a JSON line.
 * @param line A parsed line.
 * @returns The event, or `undefined` when it is something else.
 */
export function asQmpEvent(line: JsonObject): QmpEvent | undefined {
  if (typeof line["event"] !== "string") return undefined;
  return { event: line["event"], data: isJsonObject(line["data"]) ? line["data"] : {} };
}

/** The events of one side of a migration. */
export class QmpEvents {
  readonly #log = new EventLog<QmpEvent>();
  /** For each event name, the first index that `waitForEvent()` has not passed. */
  readonly #next = new Map<string, number>();
  #nextStatus = 0;

  /** All events so far. */
  get all(): readonly QmpEvent[] {
    return this.#log.entries;
  }

  /** The migration's statuses so far, oldest first. */
  get statuses(): string[] {
    return this.#log.entries.flatMap((event) => statusOf(event) ?? []);
  }

  /** Names of all events so far, with a migration's status in place of `MIGRATION`. */
  get names(): string[] {
    return this.#log.entries.map((event) => statusOf(event) ?? event.event);
  }

  /** Adds an event; a status that is the current one already is left out. */
  push(event: QmpEvent): void {
    const status = statusOf(event);
    if (status !== undefined && status === this.statuses.at(-1)) return;
    this.#log.push(event);
  }

  /** Says that no event will come any more, and why. */
  end(reason: Error): void {
    this.#log.end(reason);
  }

  /** Makes {@linkcode QmpEvents.waitForStatus} look only at statuses that come from now on. */
  skipStatuses(): void {
    this.#nextStatus = this.#log.entries.length;
  }

  /**
   * Waits for an event of a name, one that no earlier call has returned.
   * @param name The event's name.
   * @param match Which one of that name.
   * @returns The event.
   */
  async waitForEvent(
    name: string,
    match: (data: JsonObject) => boolean = () => true,
  ): Promise<QmpEvent> {
    const index = await this.#log.wait(
      (event) => event.event === name && match(event.data),
      { what: `event ${name}`, from: this.#next.get(name) ?? 0 },
    );
    this.#next.set(name, index + 1);
    return this.#log.entries[index]!;
  }

  /**
   * Waits until the migration gets to a status; one that it passed since the last call counts as well.
   * @param wanted One status or more.
   * @returns The one that came.
   * @throws {UnexpectedStatusError} When the migration ended in another way.
   */
  async waitForStatus(...wanted: string[]): Promise<string> {
    const index = await this.#log.wait(
      (event) => {
        const status = statusOf(event);
        return status !== undefined && (wanted.includes(status) || TERMINAL.includes(status));
      },
      { what: `migration status ${wanted.join(" or ")}`, from: this.#nextStatus },
    );
    this.#nextStatus = index + 1;
    const status = statusOf(this.#log.entries[index]!)!;
    if (!wanted.includes(status)) {
      throw new UnexpectedStatusError(status, this.statuses, wanted);
    }
    return status;
  }
}

function statusOf({ event, data }: QmpEvent): string | undefined {
  return event === "MIGRATION" && typeof data["status"] === "string" ? data["status"] : undefined;
}
