/**
 * What the shell offers when the tab key is pressed.
 *
 * @module
 */
import { MigrationControl } from "../control/migration_control.ts";
import type { Members } from "../qmp/argument_types.ts";
import { qmpCommands } from "../qmp/commands.ts";

/** The arguments of Ferry's commands, which are QEMU's. */
function knownArguments(): Map<string, Members> {
  const commands = qmpCommands({ control: new MigrationControl({}), quit: () => {} }, () => {});
  return new Map(Array.from(commands, ([name, { arguments: members }]) => [name, members]));
}

/** Completes lines for one server. */
export class ShellCompletion {
  readonly #arguments = knownArguments();

  /** @param names The commands that the server has. */
  constructor(private readonly names: readonly string[]) {}

  /**
   * Completes the last word.
   * @param line What is there up to the cursor.
   * @returns What it could be, and the part of the line that is replaced: what `node:readline` takes.
   */
  complete(line: string): [string[], string] {
    const begun = /\S*$/.exec(line)![0];
    const before = line.slice(0, line.length - begun.length).trim();
    const name = before.split(/\s+/, 1)[0]!;
    const offers = name === "" ? this.names.map((each) => `${each} `) : this.#words(name, begun);
    return [offers.filter((offer) => offer.startsWith(begun)), begun];
  }

  #words(name: string, begun: string): string[] {
    const members = this.#arguments.get(name) ?? {};
    const [key = "", value] = begun.split("=");
    if (value === undefined) return Object.keys(members).map((member) => `${member}=`);
    const words = Object.hasOwn(members, key) ? members[key]!.words : undefined;
    return (words ?? []).map((word) => `${key}=${word} `);
  }
}
