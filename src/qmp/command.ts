/**
 * A command: its arguments, how it may be run, and what it does.
 *
 * @module
 */
import { type Members, readMembers, type Values } from "./argument_types.ts";
import type { JsonObject } from "./json.ts";

/** A command of the table. */
export interface Command {
  /** Its arguments, for checking and for completion. */
  readonly arguments: Members;
  /** Whether it may overtake others (`exec-oob`). */
  readonly outOfBand: boolean;
  /**
   * Runs it.
   * @param given Its arguments as they came.
   * @returns What to answer.
   * @throws {QmpError | MigrationError} If it is refused.
   */
  run(given: JsonObject): unknown;
}

/** The commands by their names. */
export type CommandTable = ReadonlyMap<string, Command>;

/**
 * Makes a command.
 * @param members Its arguments.
 * @param handler Gets them, read; returns the answer, `{}` if it has none to give.
 */
export function command<const M extends Members>(
  members: M,
  handler: (args: Values<M>) => unknown,
): Command {
  return {
    arguments: members,
    outOfBand: false,
    run: (given) => handler(readMembers(members, given)),
  };
}

/** The same command, which may overtake others: it must not wait. */
export function outOfBand(one: Command): Command {
  return { ...one, outOfBand: true };
}
