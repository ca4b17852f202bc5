import "../support/load_libc.ts";
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { Errno } from "../../src/os/errno.ts";
import { FaultReader } from "../../src/os/fault_reader.ts";
import { addressOf, hostPageSize } from "../../src/os/host_memory.ts";
import { probeHost } from "../../src/os/probe.ts";
import {
  closeUserfaultfd,
  copy,
  openUserfaultfd,
  register,
  UffdMode,
  unregister,
  wake,
  zeroPage,
} from "../../src/os/userfaultfd.ts";
import type { FaultServerRequest } from "./fault_server.ts";
import type { TouchRequest } from "./toucher.ts";

const ignore = probeHost().missingPages !== undefined;
const PAGE = hostPageSize();
const LENGTH = 16 * 65536;

/** Memory without pages, and one with content for them; closing ends every wait. */
class Missing implements Disposable {
  readonly memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
  readonly source = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
  readonly to = addressOf(this.memory)!;
  readonly from = addressOf(this.source)!;
  readonly progress = new Int32Array(new SharedArrayBuffer(4));
  readonly fd: number;
  readonly #toucher = new Worker(new URL("./toucher.ts", import.meta.url), { type: "module" });

  constructor() {
    const content = new Uint32Array(this.source.buffer);
    for (let i = 0; i < content.length; i++) content[i] = i * 0x9e3779b1;
    const uffd = openUserfaultfd();
    assert(typeof uffd !== "number");
    this.fd = uffd.fd;
    assertEquals(register(this.fd, this.to, LENGTH, UffdMode.missing), 0);
  }

  /** What the memory is to hold in the end. */
  content(offset: number, length: number): Uint8Array {
    return new Uint8Array(this.source.buffer).slice(offset, offset + length);
  }

  /** Has the other thread read bytes. @returns What it read, when it comes so far. */
  touch(offset: number, length: number): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#toucher.onmessage = ({ data }) => resolve(data);
    this.#toucher.onerror = (event) => reject(new Error(event.message));
    const request: TouchRequest = { memory: this.memory, offset, length, progress: this.progress };
    this.#toucher.postMessage(request);
    return promise;
  }

  /** Blocks until the other thread is stopped in a fault. @returns Where. */
  fault(): number {
    const reader = new FaultReader(this.fd);
    for (;;) {
      const count = reader.wait(100);
      assertGreaterOrEqual(count, 0);
      if (count === 0) continue;
      assertEquals([count, reader.isWrite(0)], [1, false]);
      return reader.address(0) - this.to;
    }
  }

  [Symbol.dispose](): void {
    closeUserfaultfd(this.fd);
    this.#toucher.terminate();
  }
}

Deno.test({
  name: "copy() lets a thread run on that was stopped at a missing page, with the right bytes",
  ignore,
  async fn() {
    using missing = new Missing();
    const offset = 5 * PAGE + 100;
    const read = missing.touch(offset, 50);
    assertEquals(missing.fault(), 5 * PAGE);
    assertEquals(Atomics.load(missing.progress, 0), 1, "the thread is in its access");
    assertEquals(copy(missing.fd, missing.to + 5 * PAGE, missing.from + 5 * PAGE, PAGE), PAGE);
    assertEquals(await read, missing.content(offset, 50));
    assertEquals(Atomics.load(missing.progress, 0), 2);
  },
});

Deno.test({
  name: "zeroPage() lets a thread run on that was stopped at a missing page, with zeros",
  ignore,
  async fn() {
    using missing = new Missing();
    const read = missing.touch(3 * PAGE, 8);
    assertEquals(missing.fault(), 3 * PAGE);
    assertEquals(zeroPage(missing.fd, missing.to + 3 * PAGE, PAGE), PAGE);
    assertEquals(await read, new Uint8Array(8));
  },
});

Deno.test({
  name: "copy() without waking leaves the thread stopped until wake()",
  ignore,
  async fn() {
    using missing = new Missing();
    const read = missing.touch(0, 8);
    assertEquals(missing.fault(), 0);
    assertEquals(copy(missing.fd, missing.to, missing.from, 2 * PAGE, false), 2 * PAGE);
    assertEquals(Atomics.load(missing.progress, 0), 1);
    assertEquals(wake(missing.fd, missing.to, 2 * PAGE), 0);
    assertEquals(await read, missing.content(0, 8));
  },
});

Deno.test({
  name: "a userfaultfd's number serves other threads: one provides what another misses",
  ignore,
  async fn() {
    using missing = new Missing();
    const server = new Worker(new URL("./fault_server.ts", import.meta.url), { type: "module" });
    const answered = Promise.withResolvers<number>();
    server.onmessage = ({ data }) => answered.resolve(data);
    server.onerror = (event) => answered.reject(new Error(event.message));
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const request: FaultServerRequest = {
      fd: missing.fd,
      to: missing.to,
      from: missing.from,
      stop,
    };
    server.postMessage(request);
    assertEquals(await missing.touch(0, LENGTH), missing.content(0, LENGTH));
    Atomics.store(stop, 0, 1);
    assertEquals(await answered.promise, LENGTH / PAGE);
    server.terminate();
  },
});

Deno.test({
  name: "unregister() lets a stopped thread run on with what the memory holds: zeros",
  ignore,
  async fn() {
    using missing = new Missing();
    const read = missing.touch(7 * PAGE, 4);
    assertEquals(missing.fault(), 7 * PAGE);
    assertEquals(unregister(missing.fd, missing.to, LENGTH), 0);
    assertEquals(await read, new Uint8Array(4));
  },
});

Deno.test({
  name: "copy() and zeroPage() answer EEXIST for a page that is there, and leave it alone",
  ignore,
  fn() {
    using missing = new Missing();
    assertEquals(copy(missing.fd, missing.to, missing.from, PAGE), PAGE);
    assertEquals(zeroPage(missing.fd, missing.to, PAGE), -Errno.EEXIST);
    assertEquals(copy(missing.fd, missing.to, missing.from + PAGE, PAGE), -Errno.EEXIST);
    const there = new Uint8Array(missing.memory.buffer).slice(0, PAGE);
    assertEquals(there, missing.content(0, PAGE));
  },
});

Deno.test({
  name: "copy() says how far it came when a page in the middle is there",
  ignore,
  fn() {
    using missing = new Missing();
    assertEquals(zeroPage(missing.fd, missing.to + 2 * PAGE, PAGE), PAGE);
    assertEquals(copy(missing.fd, missing.to, missing.from, 4 * PAGE), 2 * PAGE);
  },
});

Deno.test({
  name: "register() answers EBUSY for memory that another userfaultfd has",
  ignore,
  fn() {
    using missing = new Missing();
    const other = openUserfaultfd();
    assert(typeof other !== "number");
    assertEquals(register(other.fd, missing.to, LENGTH, UffdMode.missing), -Errno.EBUSY);
    closeUserfaultfd(other.fd);
  },
});

Deno.test({
  name: "openUserfaultfd() answers EINVAL for a feature that no kernel has",
  ignore,
  fn() {
    assertEquals(openUserfaultfd({ features: 2 ** 52 }), -Errno.EINVAL);
  },
});

Deno.test({
  name: "openUserfaultfd() gives one for user-mode faults only when asked for that",
  ignore,
  fn() {
    const uffd = openUserfaultfd({ userModeOnly: true });
    assert(typeof uffd !== "number");
    assertEquals(uffd.userModeOnly, true);
    closeUserfaultfd(uffd.fd);
  },
});
