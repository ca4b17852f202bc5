import { assertEquals } from "@std/assert";
import { HISTORY_MAX, historyPath, ShellHistory } from "../../src/cli/shell_history.ts";

async function withFolder(fn: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("ShellHistory knows what was typed in earlier sessions, the last line first", () =>
  withFolder((folder) => {
    const path = `${folder}/state/ferry/shell_history`;
    const first = new ShellHistory(path);
    assertEquals(first.lines, []);
    first.add("query-name");
    first.add("  stop ");
    first.add(" ");
    first.add("x".repeat(4097));
    assertEquals(new ShellHistory(path).lines, ["stop", "query-name"]);
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    assertEquals(Deno.statSync(`${folder}/state/ferry`).mode! & 0o777, 0o700);
  }));

Deno.test("ShellHistory has a bound", () =>
  withFolder((folder) => {
    const path = `${folder}/history`;
    const lines = Array.from({ length: 2 * HISTORY_MAX + 1 }, (_, i) => `line ${i}`);
    Deno.writeTextFileSync(path, lines.join("\n"));
    const { lines: known } = new ShellHistory(path);
    assertEquals([known.length, known[0]], [HISTORY_MAX, lines.at(-1)]);
    assertEquals(Deno.readTextFileSync(path).trim().split("\n"), lines.slice(-HISTORY_MAX));
  }));

Deno.test("ShellHistory keeps nothing, silently, where nothing can be kept", () =>
  withFolder((folder) => {
    for (const path of [`${folder}/file/history`, folder]) {
      Deno.writeTextFileSync(`${folder}/file`, "");
      const history = new ShellHistory(path);
      history.add("stop");
      assertEquals(new ShellHistory(path).lines, []);
    }
  }));

Deno.test("The history is kept with the user's state", () => {
  const before = ["HOME", "XDG_STATE_HOME"].map((name) => [name, Deno.env.get(name)] as const);
  try {
    Deno.env.set("HOME", "/there");
    Deno.env.delete("XDG_STATE_HOME");
    assertEquals(historyPath(), "/there/.local/state/ferry/shell_history");
    Deno.env.set("XDG_STATE_HOME", "/state");
    assertEquals(historyPath(), "/state/ferry/shell_history");
    Deno.env.delete("XDG_STATE_HOME");
    Deno.env.delete("HOME");
    assertEquals(historyPath(), undefined);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});
