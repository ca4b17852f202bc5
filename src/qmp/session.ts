/**
 * One client's conversation: greeting, negotiation, its commands in their order and those out of it, its
 * events (QEMU `monitor/qmp.c`, `qapi/qmp-dispatch.c`, `docs/interop/qmp-spec.rst`).
 *
 * @module
 */
import { choice, list, optional } from "./argument_types.ts";
import { type Command, command, type CommandTable } from "./command.ts";
import { isJsonObject, type JsonObject, type JsonValue, readJson, writeJson } from "./json.ts";
import type { JsonFound } from "./json_splitter.ts";
import { errorAnswer, QmpError } from "./qmp_error.ts";
import type { QmpVersion } from "./version.ts";

/** How many commands of one client may wait, as in QEMU. */
const QUEUE_MAX = 8;

/** Which conversation this is. */
export interface SessionOptions {
  /** All commands there are after the negotiation. */
  readonly commands: CommandTable;
  readonly version: QmpVersion;
  /** Sends one line. */
  readonly send: (line: string) => void;
  /** Waits until the client has read most of what it was sent. */
  readonly room: () => Promise<void>;
}

/** What a client wants. */
interface Request {
  readonly name: string;
  readonly outOfBand: boolean;
  readonly args: JsonObject;
}

/** A conversation with one client. */
export class Session {
  #negotiated = false;
  #outOfBand = false;
  /** Commands take turns. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #slotFreed: PromiseWithResolvers<void> | undefined;
  readonly #negotiation: Command = command(
    { enable: optional(list(choice(["oob"]))) },
    ({ enable }) => {
      this.#outOfBand = enable !== undefined && enable.length > 0;
      this.#negotiated = true;
      return {};
    },
  );

  /** Begins: greets. */
  constructor(private readonly options: SessionOptions) {
    this.#send({ QMP: { version: options.version, capabilities: ["oob"] } });
  }

  /** Whether the client has said what it wants of the protocol, as all do that want anything. */
  get negotiated(): boolean {
    return this.#negotiated;
  }

  /** Passes on an event, if the client has come so far. */
  event(event: object): void {
    if (this.#negotiated) this.#send(event);
  }

  /**
   * Takes what the client said.
   * @returns When more can be taken; with `exec-oob` the answer is sent then, otherwise later.
   */
  async take(found: JsonFound): Promise<void> {
    const said = read(found);
    if (this.#outOfBand && "message" in said && isOutOfBand(said.message)) {
      return await this.#answer(said);
    }
    while (this.#waiting >= QUEUE_MAX) {
      this.#slotFreed ??= Promise.withResolvers();
      await this.#slotFreed.promise;
    }
    this.#waiting++;
    this.#turn = this.#turn.then(async () => {
      await this.options.room();
      await this.#answer(said);
      this.#waiting--;
      this.#slotFreed?.resolve();
      this.#slotFreed = undefined;
    });
  }

  /** Waits until everything that was said is answered. */
  async answered(): Promise<void> {
    await this.#turn;
  }

  async #answer(said: Said): Promise<void> {
    const id = "message" in said && isJsonObject(said.message) && "id" in said.message
      ? { id: said.message["id"] }
      : {};
    try {
      if ("error" in said) throw said.error;
      const answer = await this.#run(readRequest(said.message, this.#outOfBand));
      this.#send({ return: answer, ...id });
    } catch (thrown) {
      this.#send({ ...id, error: errorAnswer(thrown) });
    }
  }

  #run({ name, outOfBand, args }: Request): unknown {
    const found = name === "qmp_capabilities" ? this.#negotiation : this.options.commands.get(name);
    if (!this.#negotiated && found !== this.#negotiation) {
      throw new QmpError(
        "Expecting capabilities negotiation with 'qmp_capabilities'",
        "CommandNotFound",
      );
    }
    if (this.#negotiated && found === this.#negotiation) {
      throw new QmpError(
        "Capabilities negotiation is already complete, command ignored",
        "CommandNotFound",
      );
    }
    if (!found) throw new QmpError(`The command ${name} has not been found`, "CommandNotFound");
    if (outOfBand && !found.outOfBand) {
      throw new QmpError(`The command ${name} does not support OOB`);
    }
    return found.run(args);
  }

  #send(message: object): void {
    this.options.send(`${writeJson(message)}\r\n`);
  }
}

type Said = { readonly message: JsonValue } | { readonly error: unknown };

function read(found: JsonFound): Said {
  if ("error" in found) return found;
  try {
    return { message: readJson(found.text) };
  } catch (error) {
    return { error };
  }
}

function isOutOfBand(message: JsonValue): boolean {
  return isJsonObject(message) && "exec-oob" in message && !("execute" in message);
}

function readRequest(message: JsonValue, outOfBandAllowed: boolean): Request {
  if (!isJsonObject(message)) throw new QmpError("QMP input must be a JSON object");
  let name: string | undefined;
  let outOfBand = false;
  let args: JsonObject = {};
  for (const [member, value] of Object.entries(message)) {
    if (member === "execute" || (member === "exec-oob" && outOfBandAllowed)) {
      if (typeof value !== "string") {
        throw new QmpError(`QMP input member '${member}' must be a string`);
      }
      if (name !== undefined) {
        throw new QmpError("QMP input member 'execute' clashes with 'exec-oob'");
      }
      name = value;
      outOfBand = member === "exec-oob";
    } else if (member === "arguments") {
      if (!isJsonObject(value)) {
        throw new QmpError("QMP input member 'arguments' must be an object");
      }
      args = value;
    } else if (member !== "id") {
      throw new QmpError(`QMP input member '${member}' is unexpected`);
    }
  }
  if (name === undefined) throw new QmpError("QMP input lacks member 'execute'");
  return { name, outOfBand, args };
}
