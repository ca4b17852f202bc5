/**
 * The internals of Deno that the fast path leans on, all of them: `_handle` of a node:net socket with
 * `fdForIpc()` (a duplicate of its descriptor, close-on-exec), `useUserBuffer()`, `readStart()` and
 * `readStop()` (where and when the next bytes are read), and the option `manualStart`. Node's own
 * library uses the same names. The twin that needs none of them is `bridge.ts`.
 *
 * Two things to know of Deno 2.9's sockets: a gathered write is one system call on TCP, but one a part
 * on pipes and Unix sockets; and on TCP, a write that has to wait fails if the peer ended its side
 * before it ever sent a byte.
 *
 * @module
 */
import net from "node:net";
import { TransportError } from "../errors.ts";
import { reasonOf } from "./os_error.ts";

/** A stream handle of node:net, as far as it is used here. */
interface StreamHandle {
  reading: boolean;
  fdForIpc(): number;
  useUserBuffer(target: Uint8Array): void;
  readStart(): number;
  readStop(): number;
}

const METHODS = ["fdForIpc", "useUserBuffer", "readStart", "readStop"] as const;

function isStreamHandle(handle: unknown): handle is StreamHandle {
  return typeof handle === "object" && handle !== null &&
    METHODS.every((name) => typeof (handle as Partial<StreamHandle>)[name] === "function");
}

function handleOf(socket: net.Socket | net.Server): StreamHandle {
  const { _handle: handle } = socket as unknown as { readonly _handle: unknown };
  if (isStreamHandle(handle)) return handle;
  throw new TransportError(
    handle === null
      ? "The socket is closed already"
      : "This version of Deno keeps the descriptors of its sockets to itself",
    { advice: "Use the hand-off by bridge" },
  );
}

/**
 * Refuses a listening server whose connections could not be handed over.
 * @throws {TransportError} If this Deno lacks what is used here.
 */
export function requireDescriptors(server: net.Server): void {
  handleOf(server);
}

/**
 * Takes the descriptor out of a socket and destroys the socket; the connection stays.
 * @returns A descriptor that whoever gets it must adopt or close.
 */
export function takeDescriptor(socket: net.Socket): number {
  const fd = handleOf(socket).fdForIpc();
  if (fd < 0) throw new TransportError("The socket's descriptor cannot be duplicated");
  socket.destroy();
  return fd;
}

/**
 * Makes another descriptor of the same connection.
 * @param fd A descriptor that nothing has adopted; it is replaced.
 * @returns Two in its place.
 */
export function splitDescriptor(fd: number): [number, number] {
  const socket = adoptDescriptor(fd, () => {});
  const first = handleOf(socket).fdForIpc();
  return [first, takeDescriptor(socket)];
}

/**
 * Makes a socket of a descriptor; the socket closes it. It reads nothing but what {@linkcode
 * readInto} asks for.
 * @param fd A connected socket or a pipe.
 * @param onRead Called with the number of bytes that arrived in the target of `readInto`.
 * @throws {TransportError} If the descriptor is neither.
 */
export function adoptDescriptor(fd: number, onRead: (count: number) => void): net.Socket {
  const options: net.SocketConstructorOpts & { manualStart: boolean } = {
    fd,
    readable: true,
    writable: true,
    allowHalfOpen: true,
    manualStart: true,
    onread: {
      buffer: new Uint8Array(1), // replaced before each read
      callback: (count) => {
        onRead(count);
        return false; // stop reading
      },
    },
  };
  try {
    return new net.Socket(options);
  } catch (cause) {
    throw new TransportError(
      `Descriptor ${fd} is neither a socket nor a pipe: ${reasonOf(cause)}`,
      {
        cause,
      },
    );
  }
}

/**
 * Lets the next bytes be read into `target`; `onRead` is called once, or the socket ends or fails.
 * @param socket What {@linkcode adoptDescriptor} returned.
 * @param target Not empty; it is written in place, also if it is a view over shared memory.
 * @returns A system's error number if reading could not begin, otherwise 0.
 */
export function readInto(socket: net.Socket, target: Uint8Array): number {
  const handle = handleOf(socket);
  handle.useUserBuffer(target);
  handle.reading = true;
  return handle.readStart();
}

/** Takes back what {@linkcode readInto} began: the bytes stay in the kernel. */
export function stopReading(socket: net.Socket): void {
  const handle = handleOf(socket);
  handle.reading = false;
  handle.readStop();
}

/** Closes a descriptor that nothing has adopted. */
export function closeDescriptor(fd: number): void {
  const socket = adoptDescriptor(fd, () => {});
  socket.on("error", () => {});
  socket.destroy();
}
