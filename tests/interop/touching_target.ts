/**
 * An image whose pages are read before they have come.
 *
 * @module
 */
import { ImageTarget } from "../../src/control/image_target.ts";
import type { PostcopyGuest } from "../../src/control/incoming_target.ts";
import { Presence } from "../../src/machine/presence.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import type { TouchStart } from "./touch_pages.ts";
import { touchProgress, TouchWord } from "./touch_word.ts";

/** Keeps the machine, and reads its pages as a guest would that runs before they have come. */
export class TouchingTarget extends ImageTarget implements AsyncDisposable {
  /** Where the reader waits. */
  readonly presence = Presence.create(1);
  readonly #progress = touchProgress();
  #asks = false;
  #toucher: WorkerHandle<TouchStart> | undefined;

  constructor() {
    super(() => Promise.resolve());
  }

  /** Reads no more pages than so many. */
  allow(pages: number): void {
    Atomics.store(this.#progress, TouchWord.ALLOWED, Math.min(pages, 2 ** 31 - 1));
    Atomics.notify(this.#progress, TouchWord.ALLOWED);
  }

  /** Resolves when every page was read. */
  get touched(): Promise<void> {
    return this.#toucher!.ended;
  }

  /** Waits until so many were read. */
  async touchedSome(pages: number): Promise<void> {
    for (let seen; (seen = Atomics.load(this.#progress, TouchWord.READ)) < pages;) {
      await Atomics.waitAsync(this.#progress, TouchWord.READ, seen).value;
    }
  }

  postcopyGuest(): PostcopyGuest {
    return {
      presence: this.presence,
      askForPages: (on) => Promise.resolve(void (this.#asks ||= on)),
      run: async (takeOver) => {
        takeOver();
        this.#toucher = await WorkerHandle.start<TouchStart>({
          name: "toucher",
          url: new URL("./touch_pages.ts", import.meta.url),
          start: {
            ram: this.image.ram.layout,
            block: "pc.ram",
            presence: this.presence.memory,
            asks: this.#asks,
            progress: this.#progress,
          },
          interrupt: () => Atomics.store(this.#progress, TouchWord.STOP, 1),
        });
        return true;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#toucher?.stop();
  }
}
