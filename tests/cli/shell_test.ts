/**
 * The shell as a user meets it, in a process of its own: with a script as its input, and at a terminal.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Served } from "../qmp/fixtures/served.ts";
import { EventLog } from "../support/event_log.ts";
import { parseJsonObject } from "../support/json.ts";
import { readMigrateTask } from "../support/run_ferry.ts";

/** Runs the shell with a text as its input. */
async function run(input: string, ...args: string[]) {
  const { flags, main } = readMigrateTask();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...flags, main, "shell", ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, lines: decode(stdout).split("\n").filter(Boolean), stderr: decode(stderr) };
}

Deno.test("A script runs command by command: a line of JSON for each answer and event", async () => {
  await using served = await Served.create();
  const { code, lines, stderr } = await run(
    "# a comment\n\nquery-name\nstop\n{'exec-oob': 'yank', 'arguments': {'instances': []}}\n",
    served.server.uri,
  );
  assertEquals([code, stderr], [0, ""]);
  const [name, event, stopped, yanked] = lines.map(parseJsonObject);
  assertEquals(name, { return: { name: "served" } });
  assertEquals(event?.["event"], "STOP");
  assertEquals([stopped, yanked], [{ return: {} }, { return: {} }]);
  assertEquals(lines.length, 4);
});

Deno.test("A command that is refused makes the status 1, and the script goes on", async () => {
  await using served = await Served.create();
  const { code, lines } = await run("nothing\nquery-name\n", served.server.uri);
  assertEquals(code, 1);
  assertEquals(lines.map(parseJsonObject), [
    { error: { class: "CommandNotFound", desc: "The command nothing has not been found" } },
    { return: { name: "served" } },
  ]);
});

Deno.test("quit ends the shell, and what follows is not run", async () => {
  await using served = await Served.create();
  const { code, lines } = await run("quit\nstop\n", served.server.uri);
  assertEquals(code, 0);
  assertEquals(lines.map((line) => Object.keys(parseJsonObject(line))), [
    ["timestamp", "event", "data"],
    ["return"],
  ]);
  assert(served.machine.running);
});

Deno.test("A line that is no command ends the script with status 2", async () => {
  await using served = await Served.create();
  const { code, lines, stderr } = await run("stop now\nquery-name\n", served.server.uri);
  assertEquals([code, lines], [2, []]);
  assertStringIncludes(stderr, '"now" is not key=value');
});

Deno.test("Without an address that has a server there is no conversation", async () => {
  const missing = await run("");
  assertEquals(missing.code, 2);
  assertStringIncludes(missing.stderr, "Where is the QMP server?");
  const option = await run("", "unix:x", "--fast");
  assertEquals(option.code, 2);
  const second = await run("", "unix:x", "unix:y");
  assertEquals(second.code, 2);
  const nobody = await run("", "unix:/nowhere");
  assertEquals(nobody.code, 1);
  assertStringIncludes(nobody.stderr, "no such file or directory");
});

Deno.test("A server that goes away ends the shell with status 1, whatever it waits for", async () => {
  const served = await Served.create();
  const { flags, main } = readMigrateTask();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...flags, main, "shell", served.server.uri],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("query-name\n"));
  const reader = child.stdout.getReader();
  await reader.read();
  await served[Symbol.asyncDispose]();
  const { code } = await child.status;
  const errors = await new Response(child.stderr).text();
  assertEquals(code, 1);
  assertStringIncludes(errors, "The server has closed the connection");
  await reader.cancel();
  await writer.close().catch(() => {});
});

/** The shell at a terminal of its own. */
class Terminal implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array>;
  readonly #shown = new EventLog<string>();
  readonly #reading: Promise<void>;

  /** @param state Where the history is kept. */
  constructor(uri: string, state: string) {
    const { flags, main } = readMigrateTask();
    const command = [Deno.execPath(), ...flags, main, "shell", uri].join(" ");
    this.#process = new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      stdin: "piped",
      stdout: "piped",
      env: { TERM: "xterm", XDG_STATE_HOME: state },
    }).spawn();
    this.#keys = this.#process.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Types, and waits until something is shown because of it. */
  async type(keys: string, until: string): Promise<void> {
    const from = this.#shown.entries.length;
    await this.#keys.write(new TextEncoder().encode(keys));
    await this.shows(until, from);
  }

  /** Waits until something is shown. */
  async shows(text: string, from = 0): Promise<void> {
    let all = "";
    await this.#shown.wait((part) => (all += part).includes(text), { what: text, from });
  }

  /** All that was shown. */
  get text(): string {
    return this.#shown.entries.join("");
  }

  /** Types the last keys. @returns The exit status. */
  async end(keys: string): Promise<number> {
    await this.#keys.write(new TextEncoder().encode(keys));
    return (await this.#process.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keys.write(Uint8Array.of(3)).catch(() => {}); // when a test has failed, it is still there
    await this.#keys.close().catch(() => {});
    await this.#reading;
    await this.#process.status;
  }

  async #read(): Promise<void> {
    const text = this.#process.stdout.pipeThrough(new TextDecoderStream());
    for await (const part of text) this.#shown.push(part);
  }
}

function terminalTest(claim: string, fn: (state: string) => Promise<void>): void {
  Deno.test(`At a terminal ${claim}`, async () => {
    const state = await Deno.makeTempDir();
    try {
      await fn(state);
    } finally {
      await Deno.remove(state, { recursive: true });
    }
  });
}

terminalTest("the shell completes, remembers, and shows events as they come", async (state) => {
  await using served = await Served.create();
  await using terminal = new Terminal(served.server.uri, state);
  await terminal.shows("(qmp) ");
  await terminal.type("query-na\t", "query-name ");
  await terminal.type("\r", '"name": "served"');
  await terminal.type("migrate-continue st\t", "state=");
  await terminal.type("pre\t", "pre-switchover");
  await terminal.type("\r", "Migration not in expected state: none");
  await terminal.type("\x1b[A\x1b[A", "query-name");
  await terminal.type("\r", '"name": "served"');
  await terminal.type("stop now\r", '"now" is not key=value');
  await served.machine.stop();
  await terminal.shows('"event": "STOP"');
  assertEquals(await terminal.end("\x04"), 0);
});

terminalTest(
  "the shell explains, reads what people write, and keeps a line that an event comes into",
  async (state) => {
    await using served = await Served.create();
    await using terminal = new Terminal(served.server.uri, state);
    await terminal.shows("(qmp) ");
    await terminal.type("help mig\t", "migrate");
    await terminal.type("-incom\t", "-incoming");
    await terminal.type("\r", "[exit-on-error=]  boolean");
    await terminal.type("migrate-set-parameters max-bandwidth=100M\r", '"return": {}');
    await terminal.type("query-migrate-parameters\r", '"max-bandwidth": 104857600');
    await terminal.type("migrate channels.0.addr.tr\t", "channels.0.addr.transport=");
    await terminal.type("\x15quer", "quer");
    await served.machine.stop();
    await terminal.shows('"event": "STOP"');
    await terminal.type("y-name\r", '"name": "served"');
    assertEquals(await terminal.end("\x04"), 0);
    assert(!terminal.text.includes("The server has closed"), terminal.text);
  },
);

terminalTest("the shell remembers what was typed in an earlier session", async (state) => {
  await using served = await Served.create();
  await using first = new Terminal(served.server.uri, state);
  await first.shows("(qmp) ");
  await first.type("query-name\r", '"name": "served"');
  await first.end("\x04");
  await using second = new Terminal(served.server.uri, state);
  await second.shows("(qmp) ");
  await second.type("\x1b[A", "query-name");
  await second.type("\r", '"name": "served"');
  assertEquals(await second.end("\x04"), 0);
});

terminalTest("Ctrl-C ends the shell with status 130, and quit with 0", async (state) => {
  await using served = await Served.create();
  await using interrupted = new Terminal(served.server.uri, state);
  await interrupted.shows("(qmp) ");
  assertEquals(await interrupted.end("\x03"), 130);
  assert(!interrupted.text.includes("The server has closed"), interrupted.text);
  await using terminal = new Terminal(served.server.uri, state);
  await terminal.shows("(qmp) ");
  served.quits.wait((status) => status === 0, { what: "quit" })
    .then(() => served.server[Symbol.asyncDispose]());
  assertEquals(await terminal.end("quit\r"), 0);
});
