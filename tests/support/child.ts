/**
 * A child process that never outlives its test: output is kept, the end can be awaited, and disposing kills.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { withPatience } from "./event_log.ts";

/** How to start a {@linkcode Child}. */
export interface ChildOptions {
  /** Its working directory. */
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Record<string, string>;
  /**
   * What it inherits, by number: redirections as bash has them, such as `<FILE`, `>FILE` and
   * `<>/dev/tcp/HOST/PORT`, which connects.
   */
  readonly descriptors?: Readonly<Record<number, string>>;
  /** Gets each line of stdout; without it, stdout is kept together with stderr. */
  readonly onLine?: (line: string) => void;
}

/** How a process ended. */
export interface Exit {
  /** The exit status; 128 + the signal's number when a signal ended it. */
  readonly code: number;
  readonly signal: Deno.Signal | null;
  /** All it wrote to stderr. */
  readonly stderr: string;
}

/** How long output is read on after a process has ended: a grandchild may hold the pipe. */
const DRAIN_MS = 1_000;

let guard: readonly string[] | undefined;

/** What goes before a command to tie its life to ours; nothing where the system cannot. */
export function lifeGuard(): readonly string[] {
  guard ??= (() => {
    const command = ["setpriv", "--pdeathsig", "KILL", "--"];
    try {
      const [program, ...args] = [...command, "true"];
      const { success } = new Deno.Command(program!, { args }).outputSync();
      return success ? command : [];
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  })();
  return guard;
}

/** A running program. */
export class Child implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  #stderr = "";
  #running = true;
  /** Its end, with all of its output read. */
  readonly exited: Promise<Exit>;

  /**
   * Starts a program.
   * @param program Its path, or its name on `PATH`.
   * @param args Its arguments.
   * @param options Where, with what, and who gets its lines.
   */
  constructor(program: string, args: readonly string[], options: ChildOptions = {}) {
    const opened = withDescriptors(options.descriptors ?? {});
    const [first, ...rest] = [...lifeGuard(), ...opened, program, ...args];
    this.#process = new Deno.Command(first!, {
      args: rest,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.env !== undefined && { env: options.env }),
    }).spawn();
    const abort = new AbortController();
    const keep = (text: string) => void (this.#stderr += text);
    const reading = Promise.all([
      readText(this.#process.stderr, keep, abort.signal),
      options.onLine
        ? readLines(this.#process.stdout, options.onLine, abort.signal)
        : readText(this.#process.stdout, keep, abort.signal),
    ]);
    this.exited = this.#process.status.then(async ({ code, signal }) => {
      this.#running = false;
      await withPatience(reading, "end of output", DRAIN_MS).catch(() => abort.abort());
      await reading;
      return { code, signal, stderr: this.#stderr };
    });
  }

  /** The process's number. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Whether it has not ended yet. */
  get running(): boolean {
    return this.#running;
  }

  /** What it wrote to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /**
   * Sends a signal; nothing happens when the process has ended already.
   * @param signal Which one.
   */
  kill(signal: Deno.Signal = "SIGKILL"): void {
    try {
      this.#process.kill(signal);
    } catch (error) {
      if (this.#running && !(error instanceof TypeError || error instanceof Deno.errors.NotFound)) {
        throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.exited;
  }
}

/** What goes before a command for it to inherit descriptors: a shell opens them and becomes the command. */
function withDescriptors(descriptors: Readonly<Record<number, string>>): string[] {
  const opened = Object.entries(descriptors).map(([fd, how]) => `exec ${fd}${how}`);
  return opened.length === 0 ? [] : ["bash", "-c", `${opened.join("; ")}; exec "$@"`, "bash"];
}

async function readText(
  from: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const sink = new WritableStream({ write: take });
  await from.pipeThrough(new TextDecoderStream()).pipeTo(sink, { signal }).catch(ignoreAbort);
}

async function readLines(
  from: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const sink = new WritableStream({ write: take });
  await from.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    .pipeTo(sink, { signal }).catch(ignoreAbort);
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
}
