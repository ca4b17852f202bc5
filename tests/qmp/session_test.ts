import { assertEquals } from "@std/assert";
import { string } from "../../src/qmp/argument_types.ts";
import { command, type CommandTable, outOfBand } from "../../src/qmp/command.ts";
import { QmpError } from "../../src/qmp/qmp_error.ts";
import { Session } from "../../src/qmp/session.ts";
import { QMP_VERSION } from "../../src/qmp/version.ts";
import { type JsonObject, parseJsonObject } from "../support/json.ts";
import { errorOf } from "./fixtures/served.ts";

/** A conversation in memory, with commands that wait for the test. */
class Conversation {
  readonly heard: JsonObject[] = [];
  /** Answers the commands `wait` that have begun, oldest first. */
  readonly waiting: ((answer: string) => void)[] = [];
  readonly session: Session;

  constructor(room: () => Promise<void> = () => Promise.resolve()) {
    const commands: CommandTable = new Map(Object.entries({
      echo: command({ text: string }, ({ text }) => text),
      wait: command({}, () => new Promise((resolve) => this.waiting.push(resolve))),
      fast: outOfBand(command({}, () => "fast")),
      fail: command({}, () => {
        throw new QmpError("as told", "DeviceNotActive");
      }),
    }));
    const send = (line: string) => this.heard.push(parseJsonObject(line));
    this.session = new Session({ commands, version: QMP_VERSION, send, room });
  }

  /** Says something and returns what was heard because of it. */
  async ask(message: JsonObject | string): Promise<JsonObject | undefined> {
    const before = this.heard.length;
    await this.session.take({
      text: typeof message === "string" ? message : JSON.stringify(message),
    });
    await this.session.answered();
    return this.heard[before];
  }

  static async negotiated(...enable: string[]): Promise<Conversation> {
    const conversation = new Conversation();
    await conversation.ask({ execute: "qmp_capabilities", arguments: { enable } });
    conversation.heard.length = 0;
    return conversation;
  }
}

const NEGOTIATE = "CommandNotFound: Expecting capabilities negotiation with 'qmp_capabilities'";

Deno.test("A session greets, and before the negotiation does nothing else", async () => {
  const conversation = new Conversation();
  assertEquals(conversation.heard, [
    { QMP: { version: parseJsonObject(JSON.stringify(QMP_VERSION)), capabilities: ["oob"] } },
  ]);
  conversation.session.event({ event: "STOP" });
  assertEquals(conversation.heard.length, 1);
  assertEquals(errorOf((await conversation.ask({ execute: "fast" }))!), NEGOTIATE);
  assertEquals(errorOf((await conversation.ask({ execute: "nothing" }))!), NEGOTIATE);
  assertEquals(
    errorOf(
      (await conversation.ask('{"execute":"qmp_capabilities","arguments":{"enable":["x"]}}'))!,
    ),
    "GenericError: Parameter 'enable[0]' does not accept value 'x'",
  );
  assertEquals(await conversation.ask({ execute: "qmp_capabilities", id: 1 }), {
    return: {},
    id: 1,
  });
  conversation.session.event({ event: "STOP" });
  assertEquals(conversation.heard.at(-1), { event: "STOP" });
  assertEquals(
    errorOf((await conversation.ask({ execute: "qmp_capabilities" }))!),
    "CommandNotFound: Capabilities negotiation is already complete, command ignored",
  );
});

Deno.test("A session answers with the id it was given, whatever that is", async () => {
  const conversation = await Conversation.negotiated();
  for (const id of [5, "x", null, { a: [1] }, false]) {
    const echo = await conversation.ask({ execute: "echo", arguments: { text: "t" }, id });
    assertEquals(echo, { return: "t", id });
    const refused = await conversation.ask({ execute: "nothing", id });
    assertEquals(refused?.["id"], id);
  }
});

const REFUSED: Readonly<Record<string, string>> = {
  "[1, 2]": "GenericError: QMP input must be a JSON object",
  "5": "GenericError: QMP input must be a JSON object",
  "{}": "GenericError: QMP input lacks member 'execute'",
  '{"execute": 5}': "GenericError: QMP input member 'execute' must be a string",
  '{"execute": "fast", "x": 1}': "GenericError: QMP input member 'x' is unexpected",
  '{"execute": "fast", "arguments": 5}':
    "GenericError: QMP input member 'arguments' must be an object",
  '{"execute": "fast", "arguments": {"x": 1}}': "GenericError: Parameter 'x' is unexpected",
  '{"execute": "fast", "exec-oob": "fast"}':
    "GenericError: QMP input member 'exec-oob' is unexpected",
  '{"exec-oob": "fast"}': "GenericError: QMP input member 'exec-oob' is unexpected",
  '{"execute": "nothing"}': "CommandNotFound: The command nothing has not been found",
  '{"execute": "__proto__"}': "CommandNotFound: The command __proto__ has not been found",
  '{"execute": "fail"}': "DeviceNotActive: as told",
  "{bad}": "GenericError: JSON parse error, key is not a string in object",
};

Deno.test("A session refuses what it does not understand, in QEMU's words, and goes on", async () => {
  const conversation = await Conversation.negotiated();
  for (const [text, why] of Object.entries(REFUSED)) {
    assertEquals(errorOf((await conversation.ask(text))!), why, text);
  }
  await conversation.session.take({ error: new QmpError("JSON parse error, stray '@'") });
  await conversation.session.answered();
  assertEquals(
    errorOf(conversation.heard.at(-1)!),
    "GenericError: JSON parse error, stray '@'",
  );
  assertEquals(await conversation.ask({ execute: "fast" }), { return: "fast" });
});

Deno.test("Commands take turns, and those out of band overtake them", async () => {
  const conversation = await Conversation.negotiated("oob");
  const { session, heard, waiting } = conversation;
  const say = (message: JsonObject) => session.take({ text: JSON.stringify(message) });
  await say({ execute: "wait", id: 1 });
  await say({ execute: "echo", arguments: { text: "t" }, id: 2 });
  await say({ "exec-oob": "fast", id: 3 });
  await say({ "exec-oob": "echo", id: 4 });
  assertEquals(heard.map(({ id }) => id), [3, 4]);
  assertEquals(errorOf(heard[1]!), "GenericError: The command echo does not support OOB");
  await say({ execute: "fast", "exec-oob": "fast", id: 5 });
  waiting.shift()!("waited");
  await session.answered();
  assertEquals(heard.slice(2).map(({ id }) => id), [1, 2, 5]);
  assertEquals(
    errorOf(heard.at(-1)!),
    "GenericError: QMP input member 'execute' clashes with 'exec-oob'",
  );
});

Deno.test("A session takes only some commands at a time", async () => {
  const { session, heard, waiting } = await Conversation.negotiated();
  const taken: number[] = [];
  const all = Array.from({ length: 10 }, async (_, id) => {
    await session.take({ text: JSON.stringify({ execute: "wait", id }) });
    taken.push(id);
  });
  await Promise.all(all.slice(0, 8));
  assertEquals(taken, [0, 1, 2, 3, 4, 5, 6, 7]);
  const answerEach = async () => {
    for (let id = 0; id < 10; id++) {
      while (waiting.length === 0) await Promise.resolve();
      waiting.shift()!(`answer ${id}`);
    }
  };
  await Promise.all([...all, answerEach()]);
  await session.answered();
  assertEquals(heard.map(({ id }) => id), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("A session answers only when the client has room for it", async () => {
  const { promise: roomy, resolve: makeRoom } = Promise.withResolvers<void>();
  const { session, heard } = new Conversation(() => roomy);
  await session.take({ text: '{"execute": "qmp_capabilities"}' });
  assertEquals(heard.length, 1);
  makeRoom();
  await session.answered();
  assertEquals(heard.length, 2);
});
