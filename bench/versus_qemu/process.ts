/**
 * How the comparison's processes talk: a JSON value a line.
 *
 * @module
 */
import { readMigrateTask } from "../../tests/support/run_ferry.ts";
import type { MigrationInfo } from "../../src/control/migration_info.ts";

/** How a migration is set up, at both ends alike. */
export interface Setup {
  readonly multifd: boolean;
  /** The folder with certificates and keys; without it, nothing is encrypted. */
  readonly credentials?: string;
  readonly parameters: Readonly<Record<string, string | number>>;
}

/** What a source is asked to do. */
export type Question =
  /** Have the threads that a migration will need. */
  | { readonly do: "prepare"; readonly setup: Setup }
  | { readonly do: "migrate"; readonly uri: string; readonly setup: Setup }
  /** Send RAM over bare sockets. */
  | { readonly do: "bare"; readonly uri: string; readonly channels: number };

/** What a process says of a migration. */
export interface Outcome {
  readonly info: MigrationInfo;
  /** The most memory the process has had, in bytes. */
  readonly peakMemory: number;
}

/** What a source says of its bare sockets. */
export interface BareOutcome {
  readonly milliseconds: number;
}

/** Says something to the parent. */
export function answer(value: unknown): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
}

/** What the parent asks, until it has no more questions. */
export async function* questions<Asked = Question>(): AsyncGenerator<Asked> {
  for await (const line of lines(Deno.stdin.readable)) yield JSON.parse(line);
}

/** The most memory this process has had, in bytes. */
export function peakMemory(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** What `deno task migrate` tells the engine. */
function engineFlags(): string[] {
  return readMigrateTask().flags.filter((flag) => flag.startsWith("--v8-flags"));
}

/** A child process, asked and answering. */
export class Talking implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #answers: AsyncGenerator<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /**
   * Starts a program of this folder.
   * @param program Its file.
   * @param args What it gets, as JSON.
   * @param flags What Deno gets.
   */
  constructor(program: string, args: unknown, flags: readonly string[] = []) {
    const file = new URL(program, import.meta.url).pathname;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-check",
        ...engineFlags(),
        ...flags,
        file,
        JSON.stringify(args),
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#answers = lines(this.#child.stdout);
    this.#input = this.#child.stdin.getWriter();
  }

  /** The process's number. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Asks, and waits for the answer. @throws {Error} If the process ended instead. */
  async ask<T, Asked = Question>(question: Asked): Promise<T> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(question)}\n`));
    return await this.hear();
  }

  /** The next answer. @throws {Error} If the process ended instead. */
  async hear<T>(): Promise<T> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error("The process ended without an answer");
    return JSON.parse(value) as T;
  }

  /** Ends it and waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#answers.return(undefined);
    await this.#child.status;
  }
}

async function* lines(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}
