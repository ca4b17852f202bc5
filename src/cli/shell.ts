/**
 * `shell`: a conversation with a QMP server, Ferry's or QEMU's own. With a terminal it prompts, completes
 * and remembers; without one it runs one command a line, in turn, and prints a line of JSON for each
 * answer and event.
 *
 * @module
 */
import { parseArgs } from "@std/cli";
import { TextLineStream } from "@std/streams";
import readline from "node:readline";
import process from "node:process";
import { MigrationError, UsageError } from "../errors.ts";
import { QmpClient } from "../qmp/client.ts";
import { isJsonObject, type JsonObject, type JsonValue, writeJson } from "../qmp/json.ts";
import { errorAnswer, QmpError } from "../qmp/qmp_error.ts";
import { INTERRUPTED } from "./interrupt.ts";
import { ShellCompletion } from "./shell_completion.ts";
import { shellHelp } from "./shell_help.ts";
import { HISTORY_MAX, ShellHistory } from "./shell_history.ts";
import { parseShellLine, type ShellCommand } from "./shell_line.ts";
import { ShellSchema } from "./shell_schema.ts";

/**
 * Runs the command.
 * @param args What follows its name: where the server is.
 * @returns The exit status: 0 if nothing was refused; 1 if something was, or the server went away
 * without being told to; with a terminal, 130 after an interrupt.
 * @throws {UsageError} If the address, or a line that was not typed, is not understood.
 * @throws {TransportError | ConnectionLostError} If there is no QMP server.
 */
export async function shell(args: readonly string[]): Promise<number> {
  const uri = parseShell(args);
  return await (Deno.stdin.isTerminal() ? converse(uri) : runLines(uri));
}

function parseShell(args: readonly string[]): string {
  const { _: positional } = parseArgs(args, {
    string: ["_"],
    unknown: (arg: string, key?: string) => {
      if (key === undefined) return true;
      throw new UsageError(`Option ${arg} is not known here`);
    },
  });
  const [uri, second] = positional.map(String);
  if (uri === undefined) {
    throw new UsageError("Where is the QMP server?", {
      advice: "Write its address: shell unix:PATH or shell tcp:HOST:PORT",
    });
  }
  if (second !== undefined) throw new UsageError(`"${second}" is not expected here`);
  return uri;
}

/** One command after the other, from a file or a program. */
async function runLines(uri: string): Promise<number> {
  await using client = await QmpClient.connect(uri, (event) => print(writeJson(event)));
  const schema = await schemaOf(client);
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();
  const gone = client.closed.then(() => "gone" as const);
  let status = 0;
  for (;;) {
    const next = await Promise.race([lines.read(), gone]);
    if (next === "gone") {
      complain("The server has closed the connection");
      return 1;
    }
    if (next.done) return status;
    const command = parseShellLine(next.value, schema);
    if (!command) continue;
    const { refused, answer } = await run(client, command);
    print(writeJson(answer));
    if (refused) status = 1;
    else if (command.name === "quit") return status;
  }
}

/** With somebody at a terminal. */
async function converse(uri: string): Promise<number> {
  let show = print;
  await using client = await QmpClient.connect(uri, (event) => show(writeJson(event)));
  const schema = await schemaOf(client);
  const completion = new ShellCompletion(schema);
  const history = new ShellHistory();
  const terminal = readline.createInterface({
    input: process.stdin,
    output: process.stdout,
    completer: (line: string) => completion.complete(line),
    prompt: "(qmp) ",
    history: [...history.lines],
    historySize: HISTORY_MAX,
    removeHistoryDuplicates: true,
  });
  show = (text) => {
    readline.clearLine(process.stdout, 0);
    readline.cursorTo(process.stdout, 0);
    print(text);
    terminal.prompt(true);
  };
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  let quitting = false;
  terminal.on("line", async (line) => {
    history.add(line);
    const help = shellHelp(line, schema);
    if (help !== undefined) return show(help);
    const command = tryToParse(line, schema, show);
    if (!command) return terminal.prompt();
    quitting ||= command.name === "quit";
    try {
      const { answer } = await run(client, command);
      show(writeJson(answer, ""));
    } catch (error) {
      if (!(error instanceof MigrationError)) throw error; // a lost connection ends the loop below
    }
  });
  terminal.on("SIGINT", () => end(INTERRUPTED));
  terminal.on("close", () => end(0));
  let leaving = false;
  client.closed.then(() => {
    if (!quitting && !leaving) show("The server has closed the connection");
    end(quitting ? 0 : 1);
  });
  print(
    `Connected to QMP of ${describe(client.greeting)}. Tab completes, help explains, Ctrl-D ends.`,
  );
  terminal.prompt();
  const status = await ended;
  leaving = true;
  terminal.close();
  print("");
  return status;
}

function tryToParse(
  line: string,
  schema: ShellSchema,
  show: (text: string) => void,
): ShellCommand | undefined {
  try {
    return parseShellLine(line, schema);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    show(error.message);
    return undefined;
  }
}

/** What there is to say, in the form of the answer as the server sent it. */
async function run(
  client: QmpClient,
  { name, args, how }: ShellCommand,
): Promise<{ refused: boolean; answer: object }> {
  try {
    return { refused: false, answer: { return: await client.execute(name, args, how) } };
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    return { refused: true, answer: { error: errorAnswer(error) } };
  }
}

/** By what the server says; an old one may not say all. */
async function schemaOf(client: QmpClient): Promise<ShellSchema> {
  const [commands, schema] = await Promise.all(
    ["query-commands", "query-qmp-schema"].map((name) =>
      client.execute(name).catch((): JsonValue => [])
    ),
  );
  return new ShellSchema(commands!, schema);
}

function describe({ version }: JsonObject): string {
  const qemu = isJsonObject(version) ? version["qemu"] : undefined;
  if (!isJsonObject(version) || !isJsonObject(qemu)) return "an unknown version";
  const release = [qemu["major"], qemu["minor"], qemu["micro"]].join(".");
  return version["package"] ? `QEMU ${release} (${version["package"]})` : `QEMU ${release}`;
}

function print(text: string): void {
  write(Deno.stdout, `${text}\n`);
}

function complain(text: string): void {
  write(Deno.stderr, `ferry: ${text}\n`);
}

function write(to: typeof Deno.stdout | typeof Deno.stderr, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
}
