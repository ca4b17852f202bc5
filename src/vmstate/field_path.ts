/**
 * Where in a state saving or loading is, for messages: `players.positions[3].x`.
 *
 * @module
 */

/** A stack of names and indices; it becomes text only when there is something to say. */
export class FieldPath {
  readonly #segments: (string | number)[] = [];

  /** @param segment A name with the character before it (`.x`, `/extra`), or an index. */
  enter(segment: string | number): void {
    this.#segments.push(segment);
  }

  /** Goes back to where it was before the last {@linkcode FieldPath.enter}. */
  leave(): void {
    this.#segments.pop();
  }

  /** The whole path. */
  toString(): string {
    return this.#segments.map((part) => typeof part === "number" ? `[${part}]` : part).join("");
  }
}
