/**
 * A QMP client, for Ferry's server and for QEMU's own: greeting, negotiation, commands, events.
 *
 * @module
 */
import { ConnectionLostError, TransportError, UsageError } from "../errors.ts";
import type { Channel } from "../transport/channel.ts";
import { connect } from "../transport/connect.ts";
import { openChannel } from "../transport/open_channel.ts";
import { formatUri, parseUri } from "../transport/uri.ts";
import { isJsonObject, type JsonObject, type JsonValue, readJson, writeJson } from "./json.ts";
import { JsonSplitter } from "./json_splitter.ts";
import { QMP_ERROR_CLASSES, QmpError } from "./qmp_error.ts";

/** A server's answers can be long: QEMU's schema has some hundred KiB. */
const ANSWER_MAX = 64 * 1024 ** 2;
const READ_SIZE = 64 * 1024;

/** A connection to a server, past the negotiation. */
export class QmpClient implements AsyncDisposable {
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  /** What the server said first. */
  greeting: JsonObject = {};
  readonly #greeted = Promise.withResolvers<JsonObject>();
  readonly #pending = new Map<number, PromiseWithResolvers<JsonValue>>();
  #lastId = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly channel: Channel,
    private readonly onEvent: (event: JsonObject) => void,
  ) {
    this.#greeted.promise.catch(() => {}); // who waits for it hears of it
    this.closed = this.#read();
  }

  /**
   * Connects and negotiates.
   * @param address `unix:PATH` or `tcp:HOST:PORT`.
   * @param onEvent Gets each event.
   * @throws {UsageError} If the address is of another kind.
   * @throws {TransportError} If nobody listens there.
   * @throws {ConnectionLostError} If who does is no QMP server, or serves another.
   */
  static async connect(
    address: string,
    onEvent: (event: JsonObject) => void = () => {},
  ): Promise<QmpClient> {
    const uri = parseUri(address);
    if (uri.kind !== "unix" && uri.kind !== "tcp") {
      throw new UsageError(`QMP is at unix:PATH or tcp:HOST:PORT, not ${formatUri(uri)}`);
    }
    const endpoint = await connect(uri).catch((cause) => {
      if (!(cause instanceof TransportError)) throw cause;
      throw new TransportError(cause.what, {
        cause,
        advice: "Check the address of the QMP server",
      });
    });
    const client = new QmpClient(openChannel(endpoint.handOff()), onEvent);
    try {
      client.greeting = await client.#greeted.promise;
      const { capabilities } = client.greeting;
      const outOfBand = Array.isArray(capabilities) && capabilities.includes("oob");
      await client.execute("qmp_capabilities", outOfBand ? { enable: ["oob"] } : {});
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Runs a command.
   * @param name Its name.
   * @param args Its arguments.
   * @param how `exec-oob` lets it overtake others.
   * @returns The answer.
   * @throws {QmpError} If it is refused.
   * @throws {ConnectionLostError} If the connection ends before the answer.
   */
  async execute(
    name: string,
    args: JsonObject = {},
    how: "execute" | "exec-oob" = "execute",
  ): Promise<JsonValue> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<JsonValue>();
    this.#pending.set(id, answer);
    const line = writeJson({ [how]: name, arguments: args, id }) + "\n";
    const bytes = new TextEncoder().encode(line);
    this.#writing = this.#writing.then(() => this.channel.write(bytes));
    this.#writing.catch((error) => answer.reject(error));
    try {
      return await answer.promise;
    } finally {
      this.#pending.delete(id);
    }
  }

  /** Ends the connection; commands without an answer fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.channel.close();
    await this.closed;
  }

  async #read(): Promise<void> {
    const splitter = new JsonSplitter(ANSWER_MAX);
    const buffer = new Uint8Array(READ_SIZE);
    let lost = new ConnectionLostError(`${this.channel.peer} closed the QMP connection`);
    try {
      for (let count; (count = await this.channel.read(buffer)) > 0;) {
        for (const found of splitter.feed(buffer.subarray(0, count))) {
          if ("error" in found) throw found.error;
          this.#take(readJson(found.text));
        }
      }
    } catch (cause) {
      const why = cause instanceof QmpError ? "is no QMP server" : "is lost";
      lost = new ConnectionLostError(`${this.channel.peer} ${why}`, { cause });
    }
    this.channel.close();
    this.#greeted.reject(lost);
    for (const { reject } of this.#pending.values()) reject(lost);
  }

  #take(message: JsonValue): void {
    if (!isJsonObject(message)) throw new QmpError("A message that is no object");
    if ("event" in message) return this.onEvent(message);
    if (isJsonObject(message["QMP"])) return this.#greeted.resolve(message["QMP"]);
    const pending = this.#pending.get(Number(message["id"]));
    const { error } = message;
    if (isJsonObject(error)) pending?.reject(refusal(error));
    else pending?.resolve(message["return"] ?? null);
  }
}

function refusal({ class: given, desc }: JsonObject): QmpError {
  const known = QMP_ERROR_CLASSES.find((each) => each === given);
  return new QmpError(String(desc), known ?? "GenericError");
}
