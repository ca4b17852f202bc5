/**
 * What an {@linkcode Endpoint} holds: a descriptor, a `Deno.Conn` or a file, each with its way of being
 * handed to another thread.
 *
 * @module
 */
import { StateError } from "../errors.ts";
import { startBridge } from "./bridge.ts";
import type {
  BridgeSpec,
  Channel,
  ChannelSpec,
  DescriptorSpec,
  Direction,
  FileSpec,
} from "./channel.ts";
import { ConnChannel } from "./conn_channel.ts";
import { closeDescriptor, splitDescriptor } from "./descriptor.ts";
import { FileChannel } from "./file_channel.ts";
import { SocketChannel } from "./socket_channel.ts";

/** The same for all kinds; used in the order of its members, by the endpoint alone. */
export interface Connection {
  /** What is on the other side, for messages. */
  readonly peer: string;
  /** Which way bytes can go. */
  readonly direction: Direction;
  /** The file, if it is one. */
  readonly file?: FileSpec;
  /** Opens it on this thread, to read the head; the same channel each time. */
  open(): Channel;
  /** Takes back a read that is pending on that channel. */
  withdrawRead(): void;
  /** Ends it, instead of handing it off. */
  close(): void | Promise<void>;
  /** Hands it to a thread. @param head What was read of it. */
  handOff(head: Uint8Array): ChannelSpec;
  /** Hands its directions to two threads. @param head What was read of it. */
  handOffHalves(head: Uint8Array): { readonly read: ChannelSpec; readonly write: ChannelSpec };
  /** Ends it after the hand-off, as far as it is still on this thread or on one of its own. */
  abandon(): void | Promise<void>;
}

function withHead<Spec extends DescriptorSpec>(spec: Spec, head: Uint8Array): Spec {
  return head.length === 0 ? spec : { ...spec, head };
}

/** A socket or pipe whose descriptor goes to the other thread. */
export class DescriptorConnection implements Connection {
  /** What is on the other side, for messages. */
  readonly peer: string;
  readonly direction: Direction;
  #channel: SocketChannel | undefined;

  /**
   * Takes a descriptor over.
   * @param spec The descriptor, not adopted by anything.
   */
  constructor(private readonly spec: DescriptorSpec) {
    this.peer = spec.peer;
    this.direction = spec.direction;
  }

  open(): Channel {
    return this.#channel ??= new SocketChannel(this.spec);
  }

  withdrawRead(): void {
    this.#channel?.withdrawRead();
  }

  close(): void {
    if (this.#channel) this.#channel.close();
    else closeDescriptor(this.spec.fd);
  }

  #take(): number {
    return this.#channel ? this.#channel.release() : this.spec.fd;
  }

  handOff(head: Uint8Array): DescriptorSpec {
    return withHead({ ...this.spec, fd: this.#take() }, head);
  }

  handOffHalves(head: Uint8Array): { read: DescriptorSpec; write: DescriptorSpec } {
    if (this.spec.direction !== "both") throw oneDirection(this.peer);
    const [read, write] = splitDescriptor(this.#take());
    return {
      read: withHead({ ...this.spec, fd: read, direction: "read" }, head),
      write: { ...this.spec, fd: write, direction: "write" },
    };
  }

  abandon(): void {}
}

/** A connection that stays on this thread, behind a bridge. */
export class BridgedConnection implements Connection {
  /** What is on the other side, for messages. */
  readonly peer: string;
  readonly direction = "both";
  readonly #channel: ConnChannel;

  /**
   * Takes a connection over.
   * @param conn The connection.
   * @param peer What is on the other side.
   */
  constructor(conn: Deno.Conn, peer: string) {
    this.peer = peer;
    this.#channel = new ConnChannel(conn, peer);
  }

  open(): Channel {
    return this.#channel;
  }

  withdrawRead(): void {
    this.#channel.withdrawRead();
  }

  close(): void {
    this.#channel.close();
  }

  handOff(head: Uint8Array): BridgeSpec {
    return startBridge(this.#channel, head);
  }

  handOffHalves(head: Uint8Array): { read: BridgeSpec; write: BridgeSpec } {
    const spec = startBridge(this.#channel, head);
    return { read: { ...spec, direction: "read" }, write: { ...spec, direction: "write" } };
  }

  abandon(): void {
    this.#channel.close();
  }
}

/** A file, which the other thread opens for itself. */
export class FileConnection implements Connection {
  /** What is on the other side, for messages. */
  readonly peer: string;
  readonly direction: Direction;
  #channel: FileChannel | undefined;

  /**
   * Takes a file that was checked or made.
   * @param file What `fileSpec` returned.
   */
  constructor(readonly file: FileSpec) {
    this.peer = `file:${file.path}`;
    this.direction = file.mode;
  }

  open(): Channel {
    return this.#channel ??= new FileChannel(this.file);
  }

  withdrawRead(): void {} // a file keeps nobody waiting

  close(): void {
    this.#channel?.close();
  }

  handOff(_head: Uint8Array): FileSpec {
    this.close(); // whoever opens it begins at the offset again, so there is no head to pass on
    return this.file;
  }

  handOffHalves(_head: Uint8Array): never {
    throw oneDirection(this.peer);
  }

  abandon(): void {}
}

function oneDirection(peer: string): StateError {
  return new StateError(`The connection to ${peer} has only one direction`);
}
