/**
 * Ferry's command line as a child process: `deno task migrate` without the task runner in between, so that a
 * signal reaches Ferry itself.
 *
 * @module
 */
import { Child, type Exit } from "./child.ts";
import { PATIENCE_MS, withPatience } from "./event_log.ts";
import { type JsonObject, parseJsonObject } from "./json.ts";
import { asQmpEvent, type QmpEvent, QmpEvents, UnexpectedStatusError } from "./qmp_events.ts";

/** How to run Ferry. */
export interface FerryOptions {
  /** Its name in error messages, such as `destination`. @default {"ferry" and the first argument} */
  readonly name?: string;
  /** Whether `--json` is added, without which there are no events. @default {true} */
  readonly json?: boolean;
  /** Added to this process's environment. */
  readonly env?: Record<string, string>;
  /** What it inherits (`ChildOptions`). */
  readonly descriptors?: Readonly<Record<number, string>>;
  /** Another program in place of Ferry's own, with the same permissions. */
  readonly main?: string;
}

/** How a Ferry ended. */
export interface FerryExit extends Exit {
  /** The last line of stdout, the side's `query-migrate`; `undefined` when the last line was an event. */
  readonly result: JsonObject | undefined;
}

/** Ferry ended before it did what the test waits for. */
export class FerryExitedError extends Error {
  override readonly name = "FerryExitedError";
}

const REPOSITORY = new URL("../../", import.meta.url).pathname;

/**
 * The command of the task `migrate`, taken apart.
 * @returns What comes after `deno`, and the program's path.
 * @throws {Error} When the task is written in another way than this helper understands.
 */
export function readMigrateTask(): { flags: string[]; main: string } {
  const config = parseJsonObject(Deno.readTextFileSync(`${REPOSITORY}deno.json`)) as {
    tasks: { migrate: { command: string } };
  };
  const { command } = config.tasks.migrate;
  const [deno, ...words] = command.split(" ");
  const main = words.pop();
  if (deno !== "deno" || main === undefined || /["'$&|;]/.test(command)) {
    throw new Error(`Task migrate is not a plain deno command: ${command}`);
  }
  return { flags: words, main: `${REPOSITORY}${main}` };
}

/** A Ferry that runs, or has ended. */
export class Ferry implements AsyncDisposable {
  /** Its name in error messages. */
  readonly name: string;
  /** What it said on stdout, apart from the result. */
  readonly events = new QmpEvents();
  readonly #child: Child;
  readonly #args: readonly string[];
  readonly #finished: Promise<FerryExit>;
  /** Lines that are neither event nor JSON object. */
  readonly #stray: string[] = [];
  #last: JsonObject | undefined;

  /**
   * Starts Ferry.
   * @param args Its command line, such as `["receive", "tcp:127.0.0.1:0", "--discard"]`.
   * @param options With what.
   */
  constructor(args: readonly string[], options: FerryOptions = {}) {
    const { flags, main } = readMigrateTask();
    this.name = options.name ?? `ferry ${args[0] ?? ""}`.trim();
    this.#args = options.json ?? true ? [...args, "--json"] : args;
    this.#child = new Child(
      Deno.execPath(),
      [...flags, options.main ?? main, ...this.#args],
      {
        cwd: REPOSITORY,
        env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...options.env },
        descriptors: options.descriptors ?? {},
        onLine: (line) => this.#take(line),
      },
    );
    this.#finished = this.#child.exited.then((exit) => {
      this.events.end(
        new FerryExitedError(`${this.name} ended with status ${exit.code}: ${exit.stderr.trim()}`),
      );
      return { ...exit, result: this.#last };
    });
  }

  /** The process's number. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it wrote to stderr so far. */
  get stderr(): string {
    return this.#child.stderr;
  }

  /** Lines of stdout that are no JSON objects; with `--json` there must be none. */
  get strayLines(): readonly string[] {
    return this.#stray;
  }

  /** Waits until `receive` is ready, and returns the URI to send to. */
  async listening(): Promise<string> {
    const { data } = await this.waitForEvent("LISTENING");
    return String(data["uri"]);
  }

  /**
   * Waits until the migration gets to a status, or has passed it since the last such call.
   * @param wanted One status or more.
   * @returns The one that came.
   * @throws {UnexpectedStatusError} When the migration ended in another way, with Ferry's reasons.
   * @throws {FerryExitedError} When Ferry ended before.
   */
  async waitForStatus(...wanted: string[]): Promise<string> {
    try {
      return await this.events.waitForStatus(...wanted);
    } catch (error) {
      if (error instanceof UnexpectedStatusError) {
        error.message = `${this.name}: ${error.message}\n${this.stderr.trim()}`;
      }
      throw error;
    }
  }

  /**
   * Waits for an event of a name, one that no earlier call has returned.
   * @param name The event's name.
   * @param match Which one of that name.
   * @returns The event.
   * @throws {FerryExitedError} When Ferry ended before.
   */
  async waitForEvent(name: string, match?: (data: JsonObject) => boolean): Promise<QmpEvent> {
    return await this.events.waitForEvent(name, match);
  }

  /** Waits until it has said something to people. */
  async said(words: string): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (!this.stderr.includes(words)) {
      if (!this.#child.running || performance.now() > until) {
        throw new FerryExitedError(`${this.name} did not say "${words}": ${this.stderr.trim()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Waits for the end, whatever it is. */
  async finished(): Promise<FerryExit> {
    return await withPatience(this.#finished, `${this.name} to end`);
  }

  /**
   * Waits for the end, which must be a success.
   * @returns The last line of stdout: the side's `query-migrate`.
   * @throws {FerryExitedError} When the exit status is not 0, or stdout is not what `--json` promises.
   */
  async succeeded(): Promise<JsonObject> {
    const { code, stderr, result } = await this.finished();
    if (code !== 0) {
      throw new FerryExitedError(`${this.name} ended with status ${code}: ${stderr.trim()}`);
    }
    if (this.#stray.length > 0) {
      throw new FerryExitedError(`${this.name} wrote to stdout: ${this.#stray.join("\n")}`);
    }
    if (!result) throw new FerryExitedError(`${this.name} ended without a result`);
    return result;
  }

  /** Sends a signal; the default cannot be caught. */
  kill(signal: Deno.Signal = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  /** What a failed test should say of this Ferry. */
  get report(): string {
    return [
      `${this.name} (${this.#child.running ? "running" : "ended"}): ${this.#args.join(" ")}`,
      `  events: ${this.events.names.join(" ") || "none"}`,
      ...(this.#last ? [`  result: ${JSON.stringify(this.#last)}`] : []),
      ...(this.#stray.length === 0 ? [] : [`  stdout: ${this.#stray.join("\n")}`]),
      ...(this.stderr.trim() === "" ? [] : [`  stderr: ${this.stderr.trim()}`]),
    ].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    await this.#finished;
  }

  #take(line: string): void {
    this.#last = undefined;
    let parsed: JsonObject;
    try {
      parsed = parseJsonObject(line);
    } catch {
      this.#stray.push(line);
      return;
    }
    const event = asQmpEvent(parsed);
    if (event) this.events.push(event);
    else this.#last = parsed;
  }
}
