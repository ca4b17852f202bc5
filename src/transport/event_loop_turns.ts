/**
 * When a loop of reads or writes has to let the event loop turn. Operations that never have to wait
 * (files, a socket whose peer is faster) resolve without a turn, and a thread in such a loop would not
 * hear the message that tells it to stop.
 *
 * @module
 */

/** About a millisecond of work; a turn costs a few microseconds. */
const BYTES_PER_TURN = 8 << 20;

/** Counts the bytes since the last turn. */
export class EventLoopTurns {
  #bytes = 0;

  /**
   * Counts an operation.
   * @param bytes How many it moved.
   * @returns Whether a turn is due: then the caller goes on in `setImmediate`.
   */
  due(bytes: number): boolean {
    this.#bytes += bytes;
    if (this.#bytes < BYTES_PER_TURN) return false;
    this.#bytes = 0;
    return true;
  }
}
