/**
 * The destination's process of `demo`, as the source's sees it.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { WorkerFailedError } from "../errors.ts";
import type { WrongPage } from "../machine/verify/find_wrong_page.ts";
import type { DemoArguments } from "./arguments.ts";

/** What the destination is started with, as JSON. */
export interface DemoDestinationOptions {
  readonly ram: number;
  readonly dirtyRate: number;
  readonly seed: number | undefined;
  readonly publicApi: boolean;
  readonly capabilities: DemoArguments["capabilities"];
  readonly parameters: DemoArguments["parameters"];
}

/** What the destination found. */
export interface DemoVerdict {
  /** The first wrong page, if there is one. */
  readonly wrong?: WrongPage;
  /** How many pages the guest has written there. */
  readonly pages: number;
}

/** What the destination says, a JSON value a line. */
export type DemoMessage =
  | { readonly uri: string }
  | { readonly verdict: DemoVerdict }
  | { readonly error: string };

/** Permissions the destination needs, each only if this process has it. */
const PERMISSIONS: readonly Deno.PermissionDescriptor["name"][] = ["net", "read", "write", "ffi"];

/**
 * What the task `migrate` tells the engine. Each thread that shares RAM is charged with all of it, and
 * would collect its garbage as soon as a migration begins, which takes as long as some migrations.
 */
export const ENGINE_FLAGS = "--v8-flags=--initial-old-space-size=4096";

/** A process that waits for the machine. */
export class DemoProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #messages: AsyncIterator<DemoMessage>;
  #uri = "";

  private constructor(options: DemoDestinationOptions) {
    const granted = PERMISSIONS.filter((name) =>
      Deno.permissions.querySync({ name } as Deno.PermissionDescriptor).state === "granted"
    );
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ENGINE_FLAGS,
        ...granted.map((name) => `--allow-${name}`),
        new URL("./demo_destination.ts", import.meta.url).href,
        JSON.stringify(options),
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#messages = messagesOf(this.#child);
  }

  /** Starts the process. @returns When it listens. @throws {WorkerFailedError} If it cannot. */
  static async start(
    { seed, publicApi, capabilities, parameters }: DemoArguments,
    { ram, dirtyRate }: Pick<DemoDestinationOptions, "ram" | "dirtyRate">,
  ): Promise<DemoProcess> {
    const options = { ram, dirtyRate, seed, publicApi, capabilities, parameters };
    const process = new DemoProcess(options);
    try {
      const message = await process.#next();
      if (!("uri" in message)) throw unexpected(message);
      process.#uri = message.uri;
      return process;
    } catch (error) {
      await process[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The process's number. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Where it listens. */
  get uri(): string {
    return this.#uri;
  }

  /** Lets it stop the guest and look at every page. @throws {WorkerFailedError} If it failed. */
  async verify(): Promise<DemoVerdict> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("verify\n"));
    writer.releaseLock();
    const message = await this.#next();
    if (!("verdict" in message)) throw unexpected(message);
    return message.verdict;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.stdin.close().catch(() => {});
    await this.#messages.return?.();
    await this.#child.status;
  }

  async #next(): Promise<DemoMessage> {
    const { done, value } = await this.#messages.next();
    if (done) throw new WorkerFailedError("The destination's process ended");
    return value;
  }
}

async function* messagesOf({ stdout }: Deno.ChildProcess): AsyncGenerator<DemoMessage> {
  const lines = stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) yield JSON.parse(line);
}

function unexpected(message: DemoMessage): WorkerFailedError {
  const what = "error" in message ? message.error : JSON.stringify(message);
  return new WorkerFailedError(`The destination's process failed: ${what}`);
}
