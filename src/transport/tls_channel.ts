/**
 * A {@linkcode Channel} that speaks TLS over another one.
 *
 * It is made of the public API of `node:tls`, whose checks are not all there is (Deno 2.9): a `TLSSocket`
 * made by hand accepts any client; a server's certificate that the library cannot parse is taken by the
 * names in it; who resumes a session is not checked again. So the server is a `tls.Server`, and on both
 * sides the peer's certificate is checked once more, in `tls_peer.ts`, before a byte goes either way.
 *
 * @module
 */
import net from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import { ConnectionLostError, StateError, TransportError } from "../errors.ts";
import type { Channel } from "./channel.ts";
import { ChannelDuplex } from "./channel_duplex.ts";
import type { TlsSetup } from "./tls_options.ts";
import { checkPeer } from "./tls_peer.ts";
import { tlsReason } from "./tls_reason.ts";

/** Bytes that may wait to be read before the peer is made to wait. */
const QUEUE_MAX = 512 * 1024;

/** One side of a TLS connection, on the thread that opened it. */
export class TlsChannel implements Channel {
  readonly peer: string;
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #reading: { into: Uint8Array; settle: PromiseWithResolvers<number> } | undefined;
  #writing: PromiseWithResolvers<void> | undefined;
  #shutdown: Promise<void> | undefined;
  readonly #closed = Promise.withResolvers<void>();
  readonly #failed = Promise.withResolvers<never>();
  #ended = false;
  #failure: Error | undefined;

  private constructor(
    private readonly channel: Channel,
    private readonly carrier: ChannelDuplex,
    private readonly socket: TLSSocket,
    private readonly farewell: boolean,
  ) {
    this.peer = channel.peer;
    this.#failed.promise.catch(() => {}); // it is looked at where something is waited for
    socket.on("data", (bytes: Uint8Array) => this.#arrived(bytes));
    socket.on("end", () => {
      this.#ended = true;
      this.#serve();
    });
    const failed = (error: Error) =>
      this.#fail(
        error instanceof ConnectionLostError ? error : this.#lost(tlsReason(error), error),
      );
    socket.on("error", failed);
    carrier.on("error", failed);
    socket.on("close", () => {
      this.#closed.resolve();
      // It closes by itself when both sides have ended.
      if (!this.#shutdown) this.#fail(this.#lost("it is closed"));
    });
  }

  /**
   * Agrees with the peer on keys, and checks who it is.
   * @param channel The connection, which this channel closes, also if it fails.
   * @param setup Which side this is and what is accepted.
   * @throws {TransportError} If the peer does not speak TLS, is not who it has to be, or does not accept
   * this side.
   */
  static async open(channel: Channel, setup: TlsSetup): Promise<TlsChannel> {
    const carrier = new ChannelDuplex(channel);
    const broken = Promise.withResolvers<never>();
    carrier.on("error", broken.reject);
    carrier.on("end", () => broken.reject(new Error("the peer ended the connection")));
    try {
      const handshake = setup.role === "client" ? client(carrier, setup) : server(carrier, setup);
      const socket = await Promise.race([handshake, broken.promise]);
      checkPeer(socket, setup);
      return new TlsChannel(channel, carrier, socket, setup.farewell ?? false);
    } catch (cause) {
      channel.close();
      if (cause instanceof TransportError) throw cause;
      const reason = cause instanceof ConnectionLostError ? cause.what : tlsReason(cause);
      throw new TransportError(`No TLS with ${channel.peer}: ${reason}`, {
        cause,
        advice: "Check that both sides have TLS, and certificates of the same authority.",
      });
    }
  }

  read(into: Uint8Array): Promise<number> {
    if (this.#reading) return Promise.reject(this.#pending("read"));
    if (into.length === 0) return Promise.reject(new RangeError("A read into no bytes"));
    const settle = Promise.withResolvers<number>();
    this.#reading = { into, settle };
    this.#serve();
    return settle.promise;
  }

  #arrived(bytes: Uint8Array): void {
    if (this.#failure) return;
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    this.#serve();
    if (this.#queued > QUEUE_MAX) this.carrier.hold();
  }

  /** Gives whoever reads what there is. */
  #serve(): void {
    const reading = this.#reading;
    if (!reading) return;
    let count = 0;
    while (count < reading.into.length) {
      const [first] = this.#queue;
      if (first === undefined) break;
      const piece = first.subarray(0, reading.into.length - count);
      reading.into.set(piece, count);
      count += piece.length;
      if (piece.length === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(piece.length);
    }
    this.#queued -= count;
    if (count === 0 && !this.#ended && !this.#failure) return;
    this.#reading = undefined;
    if (count === 0 && !this.#ended) reading.settle.reject(this.#failure);
    else reading.settle.resolve(count);
    if (this.#queued <= QUEUE_MAX) this.carrier.goOn();
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.writeGather([bytes]);
  }

  writeGather(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#writing) return Promise.reject(this.#pending("write"));
    if (this.#shutdown) {
      return Promise.reject(new StateError(`A write to ${this.peer} after its end`));
    }
    if (this.#failure) return Promise.reject(this.#failure);
    const writing = Promise.withResolvers<void>();
    this.#writing = writing;
    const last = parts.findLast((part) => part.length > 0);
    const done = () => {
      if (this.#writing !== writing) return; // failed meanwhile
      this.#writing = undefined;
      writing.resolve();
    };
    this.socket.cork();
    for (const part of parts) {
      if (part.length > 0 && part !== last) this.socket.write(part);
    }
    // An error is told by the event, which has the reason.
    if (last) this.socket.write(last, (error) => error ? undefined : done());
    this.socket.uncork();
    if (!last) done();
    return writing.promise;
  }

  shutdown(): Promise<void> {
    if (this.#writing) return Promise.reject(this.#pending("shutdown"));
    if (this.#failure && !this.#shutdown) return Promise.reject(this.#failure);
    return this.#shutdown ??= this.#end();
  }

  async #end(): Promise<void> {
    if (this.farewell) {
      const said = this.carrier.nextWrite();
      this.socket.end();
      await Promise.race([said, this.#closed.promise, this.#failed.promise]);
    }
    await this.carrier.idle();
    await this.channel.shutdown();
  }

  close(): void {
    this.#fail(this.#lost("it was closed on this side"));
    this.socket.destroy();
    this.channel.close();
  }

  #pending(operation: string): StateError {
    return new StateError(`A ${operation} on ${this.peer} while another is pending`);
  }

  #lost(reason: string, cause?: unknown): ConnectionLostError {
    return new ConnectionLostError(`Lost the connection to ${this.peer}: ${reason}`, { cause });
  }

  /** The first failure is the one everybody gets. */
  #fail(failure: Error): void {
    this.#failure ??= failure;
    this.#writing?.reject(this.#failure);
    this.#writing = undefined;
    this.#failed.reject(this.#failure);
    this.#serve();
  }
}

function client(carrier: ChannelDuplex, setup: TlsSetup): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const { hostname = "" } = setup;
  const socket = connect({
    socket: carrier,
    ...keys(setup),
    // An address is no name to be sent, but it is one to be checked.
    ...net.isIP(hostname) ? { host: hostname } : { host: hostname, servername: hostname },
    rejectUnauthorized: true,
    checkServerIdentity: () => undefined, // checkPeer() does, and says which names there are
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("the connection was closed")));
  socket.on("secureConnect", () => resolve(socket));
  return promise;
}

function server(carrier: ChannelDuplex, setup: TlsSetup): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const server = createServer({
    ...keys(setup),
    // With 1.3 Deno's server sends tickets for later sessions after the handshake, which a QEMU never
    // reads: when it closes its end then, the kernel resets the connection and what is under way is lost.
    maxVersion: "TLSv1.2",
    requestCert: setup.verifyPeer,
    rejectUnauthorized: setup.verifyPeer,
  });
  server.on("secureConnection", resolve);
  server.on("tlsClientError", (error, socket) => {
    reject(Object.assign(error, { authorization: socket.authorizationError }));
  });
  server.emit("connection", carrier);
  return promise;
}

function keys(setup: TlsSetup) {
  const { authorities, certificate, key } = setup;
  return {
    ca: authorities,
    ...certificate === undefined ? {} : { cert: certificate, key },
    minVersion: "TLSv1.2",
  } as const;
}
