/**
 * The destination in postcopy (wire-format §8; QEMU `migration/savevm.c`,
 * `loadvm_postcopy_handle_listen`, `loadvm_postcopy_handle_run`, `postcopy_ram_listen_thread`): the
 * package with the devices is loaded while pages go on coming, the guest runs before they have all come,
 * and a connection that is lost then only pauses the migration.
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import {
  asMigrationError,
  ConnectionLostError,
  type MigrationError,
  StateError,
  StreamFormatError,
} from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import {
  countMissing,
  forgetPages,
  forgetParts,
  readAdvice,
  readBlock,
  readDiscard,
} from "../postcopy/incoming_commands.ts";
import type { IncomingStream } from "../ram/incoming_stream.ts";
import type { LoadContext } from "../savevm/load.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { Command, describeCommand, type ReceivedCommand } from "../wire/command.ts";
import { ArrivingPages } from "./arriving_pages.ts";
import type { IncomingTarget, PostcopyGuest } from "./incoming_target.ts";
import { PostcopyChannels, type PostcopyChannelsOptions } from "./incoming_recovery.ts";
import type { IncomingEvent, MigrationStatus } from "./migration_status.ts";
import type { MigrationInfo } from "./migration_info.ts";
import { readPackage } from "./package.ts";

/** How often it is looked whether the last pages have come on the preempt channel, in milliseconds. */
const LAST_PAGES_LOOK_MS = 2;
/** How long none of them may come, in milliseconds. */
const LAST_PAGES_TIMEOUT_MS = 5000;

/** What the postcopy part of a migration needs of the rest. */
export interface PostcopyHost {
  readonly status: MigrationStatus;
  /** Goes to the next status and says so. */
  move(event: IncomingEvent): void;
  /** The machine is this side's for good. Throws if something has failed before. */
  takeOver(): void;
  /** Something failed before that. */
  report(error: unknown): void;
  /** The guest runs. */
  runs(): void;
}

/** What {@linkcode IncomingPostcopy} is made of. */
export interface IncomingPostcopyOptions extends PostcopyChannelsOptions {
  readonly host: PostcopyHost;
  readonly target: IncomingTarget;
  /** The target page, in bytes; asked for when the stream has said it. */
  readonly pageSize: () => number;
  /** The RAM and the id of its section, once the stream has named them. */
  readonly ram: () => { readonly ram: GuestRam; readonly sectionId: number } | undefined;
}

/** How far the source's preparations have come; QEMU's names. */
type PostcopyState = "none" | "advise" | "discard" | "listening" | "running" | "end";

/** The postcopy part of one incoming migration. */
export class IncomingPostcopy implements AsyncDisposable {
  readonly #channels: PostcopyChannels;
  #state: PostcopyState = "none";
  #guest: PostcopyGuest | undefined;
  #pages: ArrivingPages | undefined;
  #context: LoadContext | undefined;
  #hostPageSizes = 0;
  #inPackage = false;
  /** Reading the channels of now; settles when they have brought everything, or are lost. */
  #receiving: Promise<void> | undefined;
  /** The loop over the main channel's elements; it goes on a little when the other one is lost. */
  #reading: Promise<unknown> | undefined;
  readonly #failed = Promise.withResolvers<never>();
  #lastLoss: MigrationError | undefined;

  /** @param options The rest of the migration. */
  constructor(private readonly options: IncomingPostcopyOptions) {
    this.#channels = new PostcopyChannels(options);
    this.#failed.promise.catch(() => {});
  }

  /** Whether pages come that a guest may be waiting for: LISTEN has come. */
  get listening(): boolean {
    return ["listening", "running", "end"].includes(this.#state);
  }

  /** The sizes of the pages of the source's host, in bytes, a bit for each; 0 until it has said them. */
  get hostPageSizes(): number {
    return this.#hostPageSizes;
  }

  /** Why the connection was lost the last time. */
  get lastLoss(): MigrationError | undefined {
    return this.#lastLoss;
  }

  /** What `query-migrate` says of it. @param withBlocktime Whether that is wanted. */
  info(withBlocktime: boolean): MigrationInfo {
    return this.#pages?.info(withBlocktime) ?? {};
  }

  /**
   * One of the commands of postcopy.
   * @returns `leave` once the guest runs.
   * @throws {StreamFormatError} If it may not come now.
   */
  async command(
    received: ReceivedCommand,
    reader: ByteReader,
    context: LoadContext,
  ): Promise<"continue" | "leave"> {
    switch (received.command) {
      case Command.POSTCOPY_ADVISE:
        this.#expect(received, "none");
        if (this.options.ram()) this.#refuse(received);
        this.#hostPageSizes = await readAdvice(received, this.options.pageSize());
        this.#state = "advise";
        return "continue";
      case Command.POSTCOPY_RAM_DISCARD:
        this.#expect(received, "advise", "discard");
        await this.#discard(received);
        return "continue";
      case Command.PACKAGED:
        this.#expect(received, "advise", "discard");
        return await this.#loadPackage(received, reader, context);
      case Command.POSTCOPY_LISTEN:
        this.#expect(received, "advise", "discard");
        if (!this.#inPackage) this.#refuse(received);
        await this.#listen(context);
        return "continue";
      case Command.POSTCOPY_RUN:
        this.#expect(received, "listening");
        await this.#run();
        return "leave";
      case Command.RECV_BITMAP:
        if (this.options.host.status !== "postcopy-recover") this.#refuse(received);
        await this.#sendBitmap(received);
        return "continue";
      default:
        // A RESUME that nobody waits for does no harm; QEMU only complains.
        if (this.options.host.status === "postcopy-recover") await this.#resume();
        return "continue";
    }
  }

  /**
   * Waits until all of RAM has come, through any number of lost connections.
   * @throws {MigrationError} If this side cannot go on.
   */
  async finish(): Promise<void> {
    await Promise.race([this.#finish(), this.#failed.promise]);
  }

  /** Nothing can go on here, for another reason than a connection. */
  fail(error: MigrationError): void {
    this.#failed.reject(error);
  }

  async #finish(): Promise<void> {
    for (;;) {
      try {
        await this.#receiving;
        await this.#waitForLastPages();
        break;
      } catch (thrown) {
        await this.#pause(asMigrationError(thrown));
      }
      const stream = await this.#channels.recovered();
      this.options.host.move("resume-connected");
      this.#receiving = this.#receive(stream);
    }
    this.#state = "end";
    await this.#channels.endPreempt();
    await this.#pages?.allHere();
  }

  /**
   * Gives the connection up, as if it had been lost.
   * @throws {StateError} Unless the guest runs and pages come.
   */
  pause(): void {
    const { status } = this.options.host;
    if (status !== "postcopy-active" && status !== "postcopy-recover") {
      throw new StateError(`Only a postcopy that is active can be paused; this is ${status}`);
    }
    this.lose(new ConnectionLostError("The migration was paused"));
  }

  /** Gives the connections up, whatever they are used for. */
  lose(reason: Error): void {
    this.#channels.break(reason);
  }

  /**
   * Listens for the source again.
   * @returns Where, once it can connect.
   * @throws {StateError} Unless the migration is paused.
   * @throws {TransportError} If nobody can listen there.
   */
  async recover(uri: MigrationUri): Promise<MigrationUri> {
    const { status } = this.options.host;
    if (status !== "postcopy-paused") {
      throw new StateError(`Only a postcopy that is paused can be recovered; this is ${status}`);
    }
    return await this.#channels.listen(uri);
  }

  /** Ends everything at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#channels[Symbol.asyncDispose]();
    this.#pages?.[Symbol.dispose]();
  }

  // ── before the guest runs ─────────────────────────────────────────────────────────────────────

  #expect(received: ReceivedCommand, ...states: PostcopyState[]): void {
    if (!states.includes(this.#state)) this.#refuse(received);
  }

  #refuse({ command }: ReceivedCommand): never {
    throw new StreamFormatError(
      `${describeCommand(command)} is not possible in the state ${this.options.host.status} ` +
        `(postcopy: ${this.#state})`,
    );
  }

  #ram(): { readonly ram: GuestRam; readonly sectionId: number } {
    const ram = this.options.ram();
    if (!ram) throw new StreamFormatError("Postcopy before the RAM section");
    return ram;
  }

  /** What is forgotten here is given back to the kernel when it begins to watch. */
  async #discard(received: ReceivedCommand): Promise<void> {
    const { ram } = this.#ram();
    const { block, ranges } = await readDiscard(received, ram);
    for (const range of ranges) forgetPages(ram, block, range);
    this.#state = "discard";
  }

  async #loadPackage(
    received: ReceivedCommand,
    reader: ByteReader,
    context: LoadContext,
  ): Promise<"continue" | "leave"> {
    if (this.#inPackage) throw new StreamFormatError("A package inside a package");
    this.#inPackage = true;
    const elements = await readPackage(received, reader);
    const end = await context.loadElements(elements);
    this.#inPackage = false;
    if (end === "leave") return "leave";
    // What follows is read elsewhere by now.
    if (this.listening) {
      throw new StreamFormatError("A package with POSTCOPY_LISTEN and without RUN");
    }
    return "continue";
  }

  async #listen(context: LoadContext): Promise<void> {
    const { options } = this;
    const { ram, sectionId } = this.#ram();
    const { faults, settings: { wantedFaults } } = options;
    await this.#channels.waitForPreempt();
    const guest = this.#guest = options.target.postcopyGuest?.();
    const pages = this.#pages = new ArrivingPages({ ram, guest, faults, wantedFaults });
    await pages.watch();
    await this.#channels.setPostcopy(ram, { missing: pages.layout, sectionId });
    this.#context = context;
    this.#state = "listening";
    options.host.move("listen-postcopy");
    this.#receiving = this.#receive(this.#channels.stream);
    // Until the guest runs, whoever loads the devices has to hear of it.
    this.#receiving.catch((error) => {
      if (this.#state === "listening") options.host.report(error);
    });
  }

  async #run(): Promise<void> {
    const { host } = this.options;
    const takeOver = () => {
      host.takeOver();
      this.#state = "running";
      host.move("run");
    };
    const runs = await this.#guest?.run(takeOver) ?? false;
    if (this.#state !== "running") takeOver();
    if (runs) host.runs();
  }

  // ── while it runs ─────────────────────────────────────────────────────────────────────────────

  /** Loads what comes on the channels of now, until the source says that nothing follows. */
  async #receive(stream: IncomingStream): Promise<void> {
    const reading = this.#context!.loadElements(stream.reader);
    this.#reading = reading;
    const end = await this.#channels.alongside(reading);
    if (end !== "eof") throw new StreamFormatError("POSTCOPY_RUN outside of a package");
  }

  /**
   * A page that has not come is never taken for zeros. The last ones may still be on the preempt channel,
   * which nothing keeps in step with the main one.
   */
  async #waitForLastPages(): Promise<void> {
    const { ram } = this.#ram();
    let missing = countMissing(ram);
    let progress = performance.now();
    while (missing > 0) {
      const now = performance.now();
      if (!this.#channels.hasPreempt || now - progress > LAST_PAGES_TIMEOUT_MS) {
        throw new StreamFormatError(`The stream ended with ${missing} pages of RAM missing`);
      }
      await this.#channels.alongside(setTimeout(LAST_PAGES_LOOK_MS));
      const left = countMissing(ram);
      if (left < missing) progress = now;
      missing = left;
    }
  }

  async #pause(error: MigrationError): Promise<void> {
    this.#lastLoss = error;
    await this.#channels.close(error);
    await this.#reading?.catch(() => {});
    this.options.host.move("channel-lost");
  }

  async #sendBitmap(received: ReceivedCommand): Promise<void> {
    const { ram } = this.#ram();
    const block = await readBlock(received.payload, ram);
    if (received.payload.source.available > 0) {
      throw new StreamFormatError("RECV_BITMAP with bytes after the block's name");
    }
    forgetParts(ram, block);
    await this.options.faults.sendBitmap(ram, block);
  }

  async #resume(): Promise<void> {
    this.options.host.move("resume-acknowledged");
    await this.options.faults.resume();
    this.#channels.resumed();
  }
}
