/**
 * A QMP client: greeting, capabilities, commands with typed errors, events. Works on any server that speaks
 * QMP, QEMU's and Ferry's own.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { PATIENCE_MS, withPatience } from "./event_log.ts";
import { isJsonObject, type JsonObject, type JsonValue, parseJsonObject } from "./json.ts";
import { closeQuietly, connectTo, writeAll } from "./sockets.ts";
import { asQmpEvent, QmpEvents } from "./qmp_events.ts";

/** The server refused a command. */
export class QmpCommandError extends Error {
  override readonly name = "QmpCommandError";

  /**
   * @param command The command's name.
   * @param qmpClass QMP's error class, such as `GenericError`.
   * @param description QMP's own words.
   */
  constructor(readonly command: string, readonly qmpClass: string, readonly description: string) {
    super(`QMP ${command}: ${qmpClass}: ${description}`);
  }
}

/** The server closed the connection, or the client did. */
export class QmpClosedError extends Error {
  override readonly name = "QmpClosedError";
}

/** What the server says first. */
export interface QmpGreeting {
  readonly version: JsonObject;
  readonly capabilities: readonly JsonValue[];
}

interface Pending {
  readonly command: string;
  readonly resolve: (value: JsonValue) => void;
  readonly reject: (error: Error) => void;
}

/** A connection to a QMP server, past the capabilities negotiation. */
export class QmpClient implements AsyncDisposable {
  /** What the server sends on its own. */
  readonly events = new QmpEvents();
  readonly #connection: Deno.Conn;
  readonly #sent: string[] = [];
  readonly #pending = new Map<number, Pending>();
  readonly #greeted = Promise.withResolvers<QmpGreeting>();
  readonly #reading: Promise<void>;
  #lastId = 0;
  #closed: QmpClosedError | undefined;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
    this.#greeted.promise.catch(() => {}); // negotiate() reports it; disposing before that is no error
    this.#reading = this.#read();
  }

  /**
   * Connects to a server.
   * @param uri `unix:PATH` or `tcp:HOST:PORT`.
   * @returns The client, ready for commands.
   */
  static async connect(uri: string): Promise<QmpClient> {
    return await QmpClient.over(await connectTo(uri));
  }

  /**
   * Negotiates on a connection that is there already.
   * @param connection To the server; the client closes it.
   * @returns The client, ready for commands.
   */
  static async over(connection: Deno.Conn): Promise<QmpClient> {
    const client = new QmpClient(connection);
    try {
      await client.#negotiate();
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** What the server said first. */
  get greeting(): Promise<QmpGreeting> {
    return this.#greeted.promise;
  }

  /** Every command so far, as JSON. */
  get sent(): readonly string[] {
    return this.#sent;
  }

  /**
   * Runs a command.
   * @param command Its name.
   * @param args Its arguments.
   * @param how `exec-oob` runs it out of band.
   * @returns What the server returned.
   * @throws {QmpCommandError} When the server refuses.
   * @throws {QmpClosedError} When the connection ends before the answer.
   */
  async execute(
    command: string,
    args?: JsonObject,
    how: "execute" | "exec-oob" = "execute",
  ): Promise<JsonValue> {
    if (this.#closed) throw this.#closed;
    const id = ++this.#lastId;
    const request = { [how]: command, ...(args && { arguments: args }) };
    this.#sent.push(JSON.stringify(request));
    const { promise, resolve, reject } = Promise.withResolvers<JsonValue>();
    this.#pending.set(id, { command, resolve, reject });
    const line = JSON.stringify({ ...request, id });
    try {
      await writeAll(this.#connection, new TextEncoder().encode(line + "\n"));
    } catch (cause) {
      this.#close(new QmpClosedError(`QMP connection broke in ${command}`, { cause }));
    }
    return await withPatience(promise, `the answer to QMP ${command}`, PATIENCE_MS);
  }

  /** Closes the connection; commands without an answer fail. */
  async close(): Promise<void> {
    this.#close(new QmpClosedError("QMP connection closed by the client"));
    await this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #negotiate(): Promise<void> {
    const greeting = await withPatience(this.#greeted.promise, "the QMP greeting");
    const oob = greeting.capabilities.includes("oob");
    await this.execute("qmp_capabilities", oob ? { enable: ["oob"] } : undefined);
  }

  async #read(): Promise<void> {
    try {
      const lines = this.#connection.readable.pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream());
      for await (const line of lines) {
        if (line.trim() !== "") this.#take(parseJsonObject(line));
      }
      this.#close(new QmpClosedError("QMP connection closed by the server"));
    } catch (cause) {
      this.#close(new QmpClosedError("QMP connection broke", { cause }));
    }
  }

  #take(line: JsonObject): void {
    const event = asQmpEvent(line);
    if (event) return this.events.push(event);
    const greeting = line["QMP"];
    if (isJsonObject(greeting)) {
      return this.#greeted.resolve({
        version: isJsonObject(greeting["version"]) ? greeting["version"] : {},
        capabilities: Array.isArray(greeting["capabilities"]) ? greeting["capabilities"] : [],
      });
    }
    const pending = this.#pending.get(Number(line["id"]));
    if (!pending) return;
    this.#pending.delete(Number(line["id"]));
    const error = line["error"];
    if (isJsonObject(error)) {
      const { class: qmpClass, desc } = error;
      pending.reject(new QmpCommandError(pending.command, String(qmpClass), String(desc)));
    } else {
      pending.resolve(line["return"] ?? null);
    }
  }

  #close(reason: QmpClosedError): void {
    if (this.#closed) return;
    this.#closed = reason;
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
    this.#greeted.reject(reason);
    this.events.end(reason);
    closeQuietly(this.#connection); // reading to the end has closed it as well
  }
}
