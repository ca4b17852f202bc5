/**
 * The program behind `deno task migrate`.
 *
 * @module
 */
import { MigrationError, SettingError, UsageError } from "../errors.ts";
import { Output } from "./output.ts";
import { USAGE } from "./usage.ts";

/**
 * Commands by their names: each gets what follows its name and returns the exit status. What one of them
 * needs is not loaded for the others.
 */
const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  demo: async (args) => {
    const { parseDemo } = await import("./arguments.ts");
    return await (await import("./demo.ts")).demo(parseDemo(args));
  },
  send: async (args) => {
    const { parseSend } = await import("./arguments.ts");
    return await (await import("./send.ts")).send(parseSend(args));
  },
  receive: async (args) => {
    const { parseReceive } = await import("./arguments.ts");
    return await (await import("./receive.ts")).receive(parseReceive(args));
  },
  analyze: async (args) => (await import("./analyze.ts")).analyze(args),
  shell: async (args) => (await import("./shell.ts")).shell(args),
};

/**
 * Runs one command.
 * @param args The command line, without the program.
 * @returns The exit status.
 */
export async function main(args: readonly string[]): Promise<number> {
  if (args.some((arg) => arg === "--help" || arg === "-h")) {
    await Deno.stdout.write(new TextEncoder().encode(USAGE));
    return 0;
  }
  const [first = "demo"] = args;
  const isCommand = !first.startsWith("-");
  const name = isCommand ? first : "demo";
  try {
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (!command) {
      throw new UsageError(`There is no command "${name}"`, {
        advice: `Write one of ${Object.keys(COMMANDS).join(", ")}; --help says more`,
      });
    }
    return await command(isCommand ? args.slice(1) : args);
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    new Output({ json: false, quiet: false }).failure(error);
    return error instanceof UsageError || error instanceof SettingError ? 2 : 1;
  }
}

// Workers that are stuck, or sockets that linger, do not keep a program that is done.
if (import.meta.main) Deno.exit(await main(Deno.args));
