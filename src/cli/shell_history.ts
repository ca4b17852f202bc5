/**
 * What was typed into the shell, kept for the next time in `$XDG_STATE_HOME/ferry/shell_history` (or
 * `~/.local/state/…`), which only its owner can read. Where nothing can be kept, nothing is, silently.
 *
 * @module
 */

/** So many lines are known the next time. */
export const HISTORY_MAX = 1000;
/** Longer ones, such as pasted JSON, are not kept: so the file has a bound. */
const LINE_MAX = 4096;

/** Where the history is kept; nothing if nobody says where. */
export function historyPath(): string | undefined {
  const of = (name: string) => Deno.env.get(name) || undefined;
  try {
    const home = of("HOME");
    const state = of("XDG_STATE_HOME") ?? (home && `${home}/.local/state`);
    return state && `${state}/ferry/shell_history`;
  } catch {
    return undefined; // without --allow-env
  }
}

/** The lines of earlier sessions and of this one. */
export class ShellHistory {
  /** Those of earlier sessions, the last one first. */
  readonly lines: readonly string[];

  /** @param path The file. @default {historyPath()} */
  constructor(private readonly path = historyPath()) {
    const lines = this.#read();
    const last = lines.slice(-HISTORY_MAX);
    if (lines.length > 2 * HISTORY_MAX) this.#write(last, { append: false });
    this.lines = last.reverse();
  }

  /** Keeps a line. */
  add(line: string): void {
    const text = line.trim();
    if (text !== "" && text.length <= LINE_MAX) this.#write([text], { append: true });
  }

  #read(): string[] {
    try {
      return this.path === undefined ? [] : Deno.readTextFileSync(this.path).split("\n")
        .filter((line) => line !== "");
    } catch {
      return [];
    }
  }

  #write(lines: readonly string[], options: { append: boolean }): void {
    const { path } = this;
    if (path === undefined) return;
    try {
      Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
      const text = lines.map((line) => `${line}\n`).join("");
      Deno.writeTextFileSync(path, text, { ...options, mode: 0o600 });
    } catch {
      // Not a reason to disturb a conversation.
    }
  }
}
