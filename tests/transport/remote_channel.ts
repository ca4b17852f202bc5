/**
 * A channel in a worker, driven from a test.
 *
 * @module
 */
import type { ChannelSpec } from "../../src/transport/channel.ts";
import type { RemoteAnswer, RemoteOrder } from "./remote_channel_worker.ts";

type Unnumbered<Order> = Order extends unknown ? Omit<Order, "order"> : never;

/** A worker that holds one channel; reads and checks, or writes, the pattern of `pattern.ts`. */
export class RemoteChannel implements AsyncDisposable {
  readonly #worker = new Worker(new URL("./remote_channel_worker.ts", import.meta.url), {
    type: "module",
  });
  readonly #pending = new Map<number, (answer: RemoteAnswer) => void>();
  #orders = 0;

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<RemoteAnswer>) => {
      this.#pending.get(data.order)?.(data);
      this.#pending.delete(data.order);
    };
  }

  /** Posts an order; the answer may carry the error it ended with. */
  tell(order: Unnumbered<RemoteOrder>): Promise<RemoteAnswer> {
    const number = this.#orders++;
    const { promise, resolve } = Promise.withResolvers<RemoteAnswer>();
    this.#pending.set(number, resolve);
    this.#worker.postMessage({ ...order, order: number });
    return promise;
  }

  /** Posts an order that has to succeed. */
  async ask(order: Unnumbered<RemoteOrder>): Promise<RemoteAnswer> {
    const answer = await this.tell(order);
    if (answer.error) throw new Error(`${answer.error.name}: ${answer.error.message}`);
    return answer;
  }

  /** Opens a channel there. */
  static async open(spec: ChannelSpec): Promise<RemoteChannel> {
    const remote = new RemoteChannel();
    await remote.ask({ do: "open", spec });
    return remote;
  }

  /** Closes the channel and lets the worker end by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.tell({ do: "close" });
    await this.tell({ do: "end" });
    this.#worker.terminate();
  }
}
