/**
 * What the shell says when it is asked for help: how commands are typed, which there are, and what one takes.
 *
 * @module
 */
import type { ShellSchema } from "./shell_schema.ts";

const SYNTAX = `COMMAND KEY=VALUE …      such as: migrate uri=tcp:127.0.0.1:4444
KEY.KEY=VALUE            a member of an object; KEY.0.KEY=VALUE one of a list's first element
KEY={"a": 1}             JSON; in quotes, a value may have spaces: uri="exec:cat > image"
KEY=100M                 a number with k, M, G or T
{"execute": "…"}         a whole QMP command, also with "exec-oob"
help COMMAND             what a command takes`;

/**
 * Answers `help` and `help COMMAND`.
 * @returns Text of some lines; nothing if that is not what the line says.
 */
export function shellHelp(line: string, schema: ShellSchema): string | undefined {
  const [help, command, more] = line.trim().split(/\s+/);
  if (help !== "help" || more !== undefined) return undefined;
  if (command === undefined) return `${SYNTAX}\n\nCommands: ${schema.commands.join(", ")}`;
  if (!schema.commands.includes(command)) return `There is no command ${command}`;
  const members = schema.members(schema.argumentsOf(command));
  if (members.length === 0) return `${command} takes no arguments`;
  const lines = members.map(({ name, type, optional }) => {
    const key = `${name}=`;
    return `  ${optional ? `[${key}]` : key}  ${schema.describe(type)}`;
  });
  return [command, ...lines].join("\n");
}
