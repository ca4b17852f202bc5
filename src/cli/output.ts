/**
 * What the program says: results on stdout, words on stderr (DESIGN, the command line's contract).
 *
 * @module
 */
import type { MigrationEvent, MigrationInfo } from "../control/migration_info.ts";
import { asMigrationError } from "../errors.ts";
import { finalRows, layOut } from "./final_table.ts";

/** An event of the command line's own, beside those of QMP. */
export type CliEvent =
  | MigrationEvent
  | { readonly event: "LISTENING"; readonly data: { readonly uri: string } };

/** How much is said. */
export interface OutputOptions {
  /** Whether stdout is JSON lines. */
  readonly json: boolean;
  /** Whether there is no progress and no table. */
  readonly quiet: boolean;
}

/** Where words are not shown on a terminal, a line of progress every so many milliseconds is enough. */
const LOG_INTERVAL_MS = 1000;

/** Both streams of one run of the program. */
export class Output {
  readonly #terminal = Deno.stderr.isTerminal();
  #line = "";
  #lastLog = -Infinity;

  /** @param options How much is said. */
  constructor(private readonly options: OutputOptions) {}

  /** Words for people, on a line of their own. */
  say(words: string): void {
    if (!this.options.quiet) this.#print(words);
  }

  /** As {@linkcode say}, but also when the user wants quiet. */
  warn(words: string): void {
    this.#print(words);
  }

  /** Shows how far it is: on a terminal always in the same line, elsewhere now and then. */
  progress(line: string): void {
    if (this.options.quiet || line === this.#line) return;
    if (this.#terminal) {
      const { columns } = Deno.consoleSize();
      write(Deno.stderr, `\r\x1b[2K${line.slice(0, columns - 1)}`);
      this.#line = line;
      return;
    }
    const status = (text: string) => text.slice(0, text.indexOf(":"));
    const now = performance.now();
    if (now - this.#lastLog < LOG_INTERVAL_MS && status(line) === status(this.#line)) return;
    this.#lastLog = now;
    this.#line = line;
    write(Deno.stderr, `${line}\n`);
  }

  /** An event, as QMP writes it. */
  event(event: CliEvent): void {
    if (!this.options.json) return;
    const now = Date.now();
    const timestamp = { seconds: Math.floor(now / 1000), microseconds: now % 1000 * 1000 };
    this.#result({ ...event, timestamp });
  }

  /** The side's `query-migrate` object: a table under a headline, and a line of JSON. */
  result(info: MigrationInfo, headline: string): void {
    this.table(info, headline);
    if (this.options.json) this.#result(info);
  }

  /** The side's `query-migrate` object for people only. */
  table(info: MigrationInfo, headline: string): void {
    this.say([headline, ...layOut(finalRows(info))].join("\n"));
  }

  /** What went wrong, and what the user can try. */
  failure(thrown: unknown): void {
    const { message, advice } = asMigrationError(thrown);
    this.warn(`ferry: ${message}`);
    if (advice !== undefined) this.warn(`       ${advice}`);
  }

  #result(value: unknown): void {
    write(Deno.stdout, `${JSON.stringify(value)}\n`);
  }

  #print(words: string): void {
    if (this.#terminal && this.#line !== "") write(Deno.stderr, "\r\x1b[2K");
    this.#line = "";
    write(Deno.stderr, `${words}\n`);
  }
}

const encoder = new TextEncoder();

/** Writes all of a text; who does not want to hear it any more (a closed pipe) does not. */
function write(to: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  let bytes = encoder.encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
