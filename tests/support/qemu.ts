/**
 * A running QEMU, as tests use it; killed when disposed.
 *
 * @module
 */
import type { Exit } from "./child.ts";
import { PATIENCE_MS, PatienceError, withPatience } from "./event_log.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { QemuExitedError, type QemuOptions, type StartedQemu, startQemu } from "./qemu_start.ts";
import { QmpClosedError } from "./qmp_client.ts";
import { type QmpEvent, type QmpEvents, UnexpectedStatusError } from "./qmp_events.ts";
import type { SerialLog } from "./serial_log.ts";

export { COMMON_MACHINE, QemuExitedError, type QemuOptions } from "./qemu_start.ts";

/** What `query-migrate` returns, as far as tests look at it. */
export type MigrationInfo = JsonObject & {
  readonly status?: string;
  readonly "error-desc"?: string;
  readonly ram?: { readonly [counter: string]: number };
};

/** How long to wait before asking again for what comes without an event. */
const POLL_MS = 2;

/** A QEMU. */
export class Qemu implements AsyncDisposable {
  /** Its name in error messages. */
  readonly name: string;
  readonly #started: StartedQemu;
  readonly #dir: string;
  #dumps = 0;

  private constructor(readonly options: QemuOptions, started: StartedQemu, dir: string) {
    this.name = options.name ?? `QEMU ${options.version}`;
    this.#started = started;
    this.#dir = dir;
  }

  /**
   * Starts a QEMU and connects to its monitor.
   * @param options What kind.
   * @returns It; the machine runs, unless `paused` or `incoming` says otherwise.
   * @throws {QemuExitedError} When it does not come up.
   */
  static async launch(options: QemuOptions): Promise<Qemu> {
    const dir = await Deno.makeTempDir({ prefix: "ferry-qemu-" });
    let qemu: Qemu | undefined;
    try {
      qemu = new Qemu(options, await startQemu(options, dir), dir);
      await qemu.#learnStatus();
      return qemu;
    } catch (error) {
      if (qemu) await qemu[Symbol.asyncDispose]();
      else await Deno.remove(dir, { recursive: true });
      throw error;
    }
  }

  /** The program and its arguments. */
  get commandLine(): readonly string[] {
    return this.#started.commandLine;
  }

  /** Every QMP command so far, as JSON. */
  get commands(): readonly string[] {
    return this.#started.qmp.sent;
  }

  /** The process's number. */
  get pid(): number {
    return this.#started.child.pid;
  }

  /** What QEMU wrote to stderr so far. */
  get stderr(): string {
    return this.#started.child.stderr;
  }

  /** The end of the process, for tests in which QEMU gives up. */
  get exited(): Promise<Exit> {
    return withPatience(this.#started.child.exited, `${this.name} to end`);
  }

  /** What the guest prints. */
  get serial(): SerialLog {
    if (!this.#started.serial) throw new TypeError(`${this.name} has no serial port`);
    return this.#started.serial;
  }

  /** The monitor's events so far, and waiting for them without this class's explanations. */
  get events(): QmpEvents {
    return this.#started.qmp.events;
  }

  /**
   * Runs a QMP command.
   * @param command Its name.
   * @param args Its arguments.
   * @param how `exec-oob` runs it out of band, as `migrate-recover` may need.
   * @returns What it returned.
   * @throws {QmpCommandError} When QEMU refuses.
   * @throws {QemuExitedError} When QEMU ends before the answer.
   */
  async execute(
    command: string,
    args?: JsonObject,
    how: "execute" | "exec-oob" = "execute",
  ): Promise<JsonValue> {
    return await this.#explain(this.#started.qmp.execute(command, args, how));
  }

  /** Runs a command of the human monitor and returns its words. */
  async hmp(commandLine: string): Promise<string> {
    const answer = await this.execute("human-monitor-command", { "command-line": commandLine });
    return String(answer);
  }

  /** Turns migration capabilities on or off. */
  async setCapabilities(capabilities: Readonly<Record<string, boolean>>): Promise<void> {
    await this.execute("migrate-set-capabilities", {
      capabilities: Object.entries(capabilities)
        .map(([capability, state]) => ({ capability, state })),
    });
  }

  /** Sets migration parameters. */
  async setParameters(parameters: JsonObject): Promise<void> {
    await this.execute("migrate-set-parameters", parameters);
  }

  /**
   * Starts a migration; returns when QEMU has accepted the command.
   * @param uri Where to.
   * @param args More arguments of the command, such as `resume`.
   */
  async migrate(uri: string, args: JsonObject = {}): Promise<void> {
    this.events.skipStatuses();
    await this.execute("migrate", { uri, ...args });
  }

  /**
   * Starts a migration and waits until it has completed.
   * @param uri Where to.
   * @returns What `query-migrate` says then.
   * @throws {UnexpectedStatusError} When it fails, with QEMU's reasons.
   */
  async migrateAndWait(uri: string): Promise<MigrationInfo> {
    await this.migrate(uri);
    await this.waitForStatus("completed");
    return await this.queryMigrate();
  }

  /** Tells a QEMU that was started with `incoming: "defer"` where to wait. */
  async migrateIncoming(uri: string, args: JsonObject = {}): Promise<void> {
    await this.execute("migrate-incoming", { uri, ...args });
  }

  /** The migration's state. */
  async queryMigrate(): Promise<MigrationInfo> {
    return await this.execute("query-migrate") as MigrationInfo;
  }

  /** The machine's run state, such as `running` or `postmigrate`. */
  async runState(): Promise<string> {
    const answer = await this.execute("query-status");
    return isJsonObject(answer) ? String(answer["status"]) : "";
  }

  /**
   * Waits until the machine is in a run state. After a migration QEMU changes it a little later than the
   * migration's status, and some states (`postmigrate`, `finish-migrate`) come without an event: this asks
   * again and again.
   * @param wanted The state.
   * @throws {PatienceError} When it does not come, with the state that is there instead.
   */
  async waitForRunState(wanted: string): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    for (let state; (state = await this.runState()) !== wanted;) {
      if (performance.now() > end) {
        throw new PatienceError(`${this.name} is ${state}, and never became ${wanted}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The URI on which a QEMU waits that was told to take any TCP port. */
  async listening(): Promise<string> {
    const addresses = (await this.queryMigrate())["socket-address"];
    const address = Array.isArray(addresses) ? addresses[0] : undefined;
    if (!isJsonObject(address)) throw new TypeError(`${this.name} does not listen`);
    return address["type"] === "unix"
      ? `unix:${address["path"]}`
      : `tcp:${address["host"]}:${address["port"]}`;
  }

  /** Stops the machine. */
  async stop(): Promise<void> {
    await this.execute("stop");
  }

  /** Lets the machine run. */
  async cont(): Promise<void> {
    await this.execute("cont");
  }

  /**
   * Waits until the migration gets to a status. A status that was passed since the last such call, or since
   * `migrate()`, counts as well; what an incoming QEMU passed before its monitor was there is not known.
   * @param wanted One status or more.
   * @returns The one that came.
   * @throws {UnexpectedStatusError} When the migration ended in another way, with QEMU's reasons.
   */
  async waitForStatus(...wanted: string[]): Promise<string> {
    return await this.#explain(this.events.waitForStatus(...wanted));
  }

  /**
   * Waits for an event of a name, one that no earlier call has returned.
   * @param name The event's name.
   * @param match Which one of that name.
   * @returns The event.
   */
  async waitForEvent(name: string, match?: (data: JsonObject) => boolean): Promise<QmpEvent> {
    return await this.#explain(this.events.waitForEvent(name, match));
  }

  /**
   * Copies a range of the guest's physical memory; stop the machine first for a consistent copy.
   * @param start The first address.
   * @param size How many bytes.
   * @returns The bytes.
   */
  async readMemory(start: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
    const filename = `${this.#dir}/memory-${++this.#dumps}`;
    await this.execute("pmemsave", { val: start, size, filename });
    const bytes = await Deno.readFile(filename);
    await Deno.remove(filename);
    return bytes;
  }

  /** What a failed test should say of this QEMU. */
  get report(): string {
    const { child, serial } = this.#started;
    const printed = serial?.text ?? "";
    return [
      `${this.name} (${child.running ? "running" : "ended"}): ${this.commandLine.join(" ")}`,
      `  events: ${this.events.names.join(" ") || "none"}`,
      `  serial: ${printed.length} characters${printed && `, last ${printed.slice(-20)}`}`,
      ...(child.stderr.trim() === "" ? [] : [`  stderr: ${child.stderr.trim()}`]),
    ].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started.child[Symbol.asyncDispose]();
    await this.#started.qmp.close();
    await this.#started.serial?.closed;
    await Deno.remove(this.#dir, { recursive: true });
  }

  /** Statuses from before the monitor was connected came as no event. */
  async #learnStatus(): Promise<void> {
    const { status } = await this.queryMigrate();
    if (status === undefined || status === "none" || this.events.statuses.length > 0) return;
    this.events.push({ event: "MIGRATION", data: { status } });
  }

  /** Adds what QEMU knows of a failure to the error that a test sees. */
  async #explain<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof QmpClosedError) {
        const { code, stderr } = await this.exited;
        const message = `${this.name} ended with status ${code}: ${stderr.trim()}`;
        throw new QemuExitedError(message, { cause: error });
      }
      if (error instanceof UnexpectedStatusError) {
        const info = await this.queryMigrate().catch((): MigrationInfo => ({}));
        error.message = [`${this.name}: ${error.message}`, info["error-desc"], this.stderr.trim()]
          .filter(Boolean).join("\n");
      }
      throw error;
    }
  }
}
