/**
 * A QMP connection that can hand a descriptor to QEMU (`getfd`), which only `sendmsg` can; and descriptors to
 * hand over. QEMU keeps a descriptor's name for the connection that it came on, so what uses it is said here.
 *
 * @module
 */
import { isJsonObject, type JsonObject, parseJsonObject } from "./json.ts";

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

const [AF_UNIX, AF_INET, SOCK_STREAM] = [1, 2, 1];
const [SOL_SOCKET, SCM_RIGHTS] = [1, 1];
const [O_RDONLY, O_WRONLY, O_CREAT, O_CLOEXEC] = [0, 1, 0o100, 0o2000000];
/** Of x86-64, where it is not arm64's number. */
const O_DIRECT = Deno.build.arch === "x86_64" ? 0o40000 : 0o200000;

const bytesOf = (text: string) => new TextEncoder().encode(text);

function checked(result: number | bigint, what: string): number {
  if (Number(result) < 0) throw new Error(`${what} failed`);
  return Number(result);
}

/** A descriptor of this process, which nothing else in it uses. */
export class Descriptor implements Disposable {
  private constructor(readonly number: number) {}

  /** Makes a file and opens it for writing. */
  static create(path: string): Descriptor {
    return this.open(path, ">");
  }

  /**
   * Opens a file, which is made if it is to be written.
   * @param direct Whether around the page cache.
   */
  static open(path: string, redirection: "<" | ">", direct = false): Descriptor {
    const flags = O_CLOEXEC | (redirection === "<" ? O_RDONLY : O_WRONLY | O_CREAT) |
      (direct ? O_DIRECT : 0);
    return new Descriptor(checked(libc.open(bytesOf(`${path}\0`), flags, 0o600), `open ${path}`));
  }

  /** Connects. @param uri `unix:PATH` or `tcp:127.0.0.1:PORT`. */
  static connect(uri: string): Descriptor {
    const unix = /^unix:(.+)$/.exec(uri)?.[1];
    const port = Number(/^tcp:127\.0\.0\.1:(\d+)$/.exec(uri)?.[1]);
    const address = new Uint8Array(unix ? 110 : 16);
    const view = new DataView(address.buffer);
    view.setUint16(0, unix ? AF_UNIX : AF_INET, true);
    if (unix) address.set(bytesOf(unix), 2);
    else {
      view.setUint16(2, port);
      view.setUint32(4, 0x7f000001);
    }
    const family = unix ? AF_UNIX : AF_INET;
    const descriptor = new Descriptor(checked(libc.socket(family, SOCK_STREAM, 0), "socket"));
    checked(libc.connect(descriptor.number, address, address.length), `connect ${uri}`);
    return descriptor;
  }

  [Symbol.dispose](): void {
    libc.close(this.number);
  }
}

/** A connection to a QEMU that was started with `-qmp unix:PATH,server=on,wait=off`. */
export class DescriptorMonitor implements Disposable {
  readonly #socket: Descriptor;
  #heard = "";

  private constructor(uri: string) {
    this.#socket = Descriptor.connect(uri);
  }

  /** Connects and negotiates. */
  static async connect(uri: string): Promise<DescriptorMonitor> {
    const monitor = new DescriptorMonitor(uri);
    await monitor.#next(); // the greeting
    await monitor.execute("qmp_capabilities");
    return monitor;
  }

  /**
   * Runs a command. @returns The answer: an object with `return` or `error`.
   * @param descriptor What goes along with it.
   */
  async execute(
    command: string,
    args: JsonObject = {},
    descriptor?: Descriptor,
  ): Promise<JsonObject> {
    this.#send(JSON.stringify({ execute: command, arguments: args }), descriptor);
    for (;;) {
      const line = await this.#next();
      if ("return" in line || "error" in line) return line;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #send(text: string, descriptor: Descriptor | undefined): void {
    const bytes = bytesOf(text);
    const pointer = (of: Uint8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>) =>
      Deno.UnsafePointer.value(Deno.UnsafePointer.of(of));
    const part = new BigUint64Array([pointer(bytes), BigInt(bytes.length)]);
    const rights = new Uint8Array(24);
    const view = new DataView(rights.buffer);
    view.setBigUint64(0, 20n, true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, SCM_RIGHTS, true);
    view.setInt32(16, descriptor?.number ?? -1, true);
    // No name, the part, and the rights with their length, if there is a descriptor.
    const length = descriptor ? BigInt(rights.length) : 0n;
    const message = new BigUint64Array([0n, 0n, pointer(part), 1n, pointer(rights), length, 0n]);
    checked(libc.sendmsg(this.#socket.number, new Uint8Array(message.buffer), 0), "sendmsg");
  }

  async #next(): Promise<JsonObject> {
    const buffer = new Uint8Array(4096);
    let end;
    while ((end = this.#heard.indexOf("\n")) < 0) {
      const count = checked(await libc.read(this.#socket.number, buffer, 4096n), "read");
      if (count === 0) throw new Error("The monitor closed the connection");
      this.#heard += new TextDecoder().decode(buffer.subarray(0, count));
    }
    const line = parseJsonObject(this.#heard.slice(0, end));
    this.#heard = this.#heard.slice(end + 1);
    return line;
  }
}

/** The words of an error, or none. */
export function errorWords({ error }: JsonObject): string {
  return isJsonObject(error) ? String(error["desc"]) : "";
}
