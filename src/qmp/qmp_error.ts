/**
 * What QMP answers when a command is refused (QEMU `qapi/error.json`).
 *
 * @module
 */
import { MigrationError } from "../errors.ts";

/** QMP's error classes; all that is not worth its own is a `GenericError`. */
export const QMP_ERROR_CLASSES = [
  "GenericError",
  "CommandNotFound",
  "DeviceNotActive",
  "DeviceNotFound",
  "KVMMissingCap",
] as const;
/** One of {@linkcode QMP_ERROR_CLASSES}. */
export type QmpErrorClass = typeof QMP_ERROR_CLASSES[number];

/** A refusal, as it goes over the wire. */
export class QmpError extends Error {
  override readonly name = "QmpError";

  /**
   * @param description Why, for people.
   * @param qmpClass For programs.
   */
  constructor(readonly description: string, readonly qmpClass: QmpErrorClass = "GenericError") {
    super(description);
  }
}

/** What the member `error` of an answer is. */
export interface ErrorAnswer {
  /** For programs. */
  readonly class: QmpErrorClass;
  /** For people. */
  readonly desc: string;
}

/** How QMP says what a command threw. */
export function errorAnswer(thrown: unknown): ErrorAnswer {
  if (thrown instanceof QmpError) return { class: thrown.qmpClass, desc: thrown.description };
  if (thrown instanceof MigrationError) return { class: "GenericError", desc: thrown.message };
  return { class: "GenericError", desc: thrown instanceof Error ? thrown.message : String(thrown) };
}
