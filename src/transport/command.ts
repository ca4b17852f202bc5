/**
 * The commands of `exec:` URIs. They get pipes, as from QEMU: a socket pair would be up to twice as fast
 * but programs that open `/dev/stdin` or `/dev/stdout` fail on one. What a command says goes to
 * standard error.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import process from "node:process";
import { TransportError } from "../errors.ts";
import { takeDescriptor } from "./descriptor.ts";
import { reasonOf } from "./os_error.ts";
import { type ExecUri, formatUri } from "./uri.ts";
import { waitFor, type WaitOptions } from "./wait.ts";

/** How long a command may take to end after SIGTERM. */
const GRACE_MS = 1000;

/** A command that runs. */
export interface Command {
  /** Our end of its standard input (writing) or output (reading). */
  readonly fd: number;
  /** Resolves when it has ended: with `undefined` if it succeeded, otherwise with how it failed. */
  readonly ended: Promise<string | undefined>;
  /**
   * Ends it with SIGTERM, then with SIGKILL; resolves when it has ended. Other programs that a shell
   * started are left to notice that their pipes end.
   */
  stop(): Promise<void>;
}

/**
 * Starts a command.
 * @param uri Its program and arguments.
 * @param direction Whether we `write` its standard input or `read` its standard output.
 * @param options When to give up.
 * @param other The end that is not ours: a descriptor for it, standard error or nothing by itself.
 * @throws {TransportError} If the program cannot be started.
 */
export async function startCommand(
  uri: ExecUri,
  direction: "read" | "write",
  options: WaitOptions,
  other: number | "ignore" = direction === "write" ? 2 : "ignore",
): Promise<Command> {
  const [program = "", ...args] = uri.args;
  const name = formatUri(uri);
  const { promise: ended, resolve: end } = Promise.withResolvers<string | undefined>();
  const child = await waitFor<ChildProcess>(`Starting ${name}`, options, ({ resolve, reject }) => {
    const child = spawn(program, args, {
      stdio: direction === "write" ? ["pipe", other, "inherit"] : [other, "pipe", "inherit"],
    });
    child.on("exit", (code, signal) => {
      if (code === 0) end(undefined);
      else end(signal === null ? `exit status ${code}` : `ended by ${signal}`);
    });
    child.on("spawn", () => resolve(child));
    child.on("error", (cause) => {
      reject(new TransportError(`Cannot start ${name}: ${reasonOf(cause)}`, { cause }));
    });
    return () => child.kill("SIGKILL");
  });
  return {
    fd: takeDescriptor((direction === "write" ? child.stdin : child.stdout) as Socket),
    ended,
    stop: async () => {
      signal(child, "SIGTERM");
      const timer = setTimeout(() => signal(child, "SIGKILL"), GRACE_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Not `child.kill()`: in Deno that sends no second signal. */
function signal(child: ChildProcess, name: "SIGTERM" | "SIGKILL"): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(child.pid, name);
  } catch {
    // It has ended meanwhile.
  }
}
