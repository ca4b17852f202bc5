/**
 * A connection as worker code sees it, and the small cloneable description that brings it there: the
 * main thread opens every connection and hands it to a worker, so page bytes never pass through main.
 *
 * @module
 */

/**
 * A stream of bytes each way. Views over shared memory are read and written in place.
 *
 * Nothing blocks the thread: a peer that stalls leaves a promise pending, and {@linkcode close} makes
 * it reject. So a worker is stopped by a message that makes it close its channels; ending it with
 * `terminate()` instead leaks the connection's descriptor and the peer never sees the end.
 */
export interface Channel {
  /** What is on the other side, for messages. */
  readonly peer: string;
  /**
   * Reads what there is, at least one byte. Between two reads nothing is taken from the kernel, so
   * nothing is buffered here or lost. One read may be pending at a time.
   * @param into Where the bytes go; not empty.
   * @returns How many there were, or 0 at the orderly end of the stream.
   * @throws {ConnectionLostError} If the connection was lost, or closed on this side.
   */
  read(into: Uint8Array): Promise<number>;
  /**
   * Writes all of `bytes`; when it resolves, the kernel has them and the memory may change. One
   * write may be pending at a time.
   * @throws {ConnectionLostError} If the connection was lost, or closed on this side.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes all parts in their order, with as few system calls as the transport allows. */
  writeGather(parts: readonly Uint8Array[]): Promise<void>;
  /** Tells the peer that nothing follows what was written. Reading goes on. */
  shutdown(): Promise<void>;
  /** Ends both directions at once; a pending operation rejects. */
  close(): void;
}

/** A channel on the thread that may still give the connection to another one. */
export interface YieldingChannel extends Channel {
  /** Takes a pending read back: it rejects, and the next one gets what it would have got. */
  withdrawRead(): void;
}

/** Which directions a channel has. */
export type Direction = "both" | "read" | "write";

/** A descriptor of this process (threads share them), to be opened exactly once. */
export interface DescriptorSpec {
  /** Which kind of spec this is. */
  readonly kind: "descriptor";
  /** The descriptor's number. */
  readonly fd: number;
  /** What is on the other side, for messages. */
  readonly peer: string;
  /** Which ways it may be used. */
  readonly direction: Direction;
  /** A pipe has no half to shut down; TCP alone gathers in one system call. */
  readonly transport: "tcp" | "unix" | "pipe";
  /** What the main thread already read: comes first. */
  readonly head?: Uint8Array;
}

/** A file that the main thread created or checked; any number of threads may open it. */
export interface FileSpec {
  /** Which kind of spec this is. */
  readonly kind: "file";
  /** Absolute. */
  readonly path: string;
  /** Where the stream begins, in bytes. */
  readonly offset: number;
  /** Which way it may be used. */
  readonly mode: "read" | "write";
  /** Device and inode of the file that was checked: no other is opened in its place. */
  readonly identity: string;
  /**
   * Whether it is used around the page cache (`O_DIRECT`): memory, lengths and positions are then multiples
   * of the device's block.
   * @default {false}
   */
  readonly direct?: boolean;
}

/** A connection that stays on the main thread; its bytes pass through shared memory. */
export interface BridgeSpec {
  /** Which kind of spec this is. */
  readonly kind: "bridge";
  /** What is on the other side, for messages. */
  readonly peer: string;
  /** Which ways it may be used. */
  readonly direction: Direction;
  /** The ring of bytes that the main thread received. */
  readonly inbound: SharedArrayBuffer;
  /** The ring of bytes that the main thread is to send. */
  readonly outbound: SharedArrayBuffer;
  /** What the main thread already read: comes first. */
  readonly head?: Uint8Array;
}

/** What is posted to the worker that is to have a channel. */
export type ChannelSpec = DescriptorSpec | FileSpec | BridgeSpec;
