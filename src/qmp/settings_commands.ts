/**
 * The commands that show and change capabilities and parameters (wire-format §11.1 and §11.2; QEMU
 * `qapi/migration.json`).
 *
 * @module
 */
import { CAPABILITY_NAMES } from "../control/capabilities.ts";
import type { MigrationControl } from "../control/migration_control.ts";
import {
  defaultParameters,
  isParameterName,
  type ParameterChanges,
  parameterWords,
} from "../control/parameters.ts";
import {
  any,
  type ArgumentType,
  boolean,
  choice,
  list,
  object,
  optional,
  string,
  stringOrNull,
  unsigned,
} from "./argument_types.ts";
import { type Command, command } from "./command.ts";

const CAPABILITY = object({ capability: choice(CAPABILITY_NAMES), state: boolean });

/** Strings for which `null` means the empty one. */
const MAY_BE_NULL: readonly string[] = ["tls-creds", "tls-hostname", "tls-authz"];

/** The type of each parameter is that of its default. */
const PARAMETERS = Object.fromEntries(
  Object.entries({ ...defaultParameters(), "block-bitmap-mapping": [] })
    .map(([name, value]) => [name, optional(typeOf(name, value))]),
);

function typeOf(name: string, value: unknown): ArgumentType<unknown> {
  if (typeof value === "number") return unsigned;
  if (typeof value === "boolean") return boolean;
  if (typeof value !== "string") return list(any);
  const words = isParameterName(name) && parameterWords(name);
  if (words) return choice(words);
  return MAY_BE_NULL.includes(name) ? stringOrNull : string;
}

/** The commands. */
export function settingsCommands(control: MigrationControl): Record<string, Command> {
  return {
    "migrate-set-capabilities": command(
      { capabilities: list(CAPABILITY) },
      async ({ capabilities }) => {
        await control.cleanedUp();
        control.setCapabilities(
          Object.fromEntries(capabilities.map(({ capability, state }) => [capability, state])),
        );
        return {};
      },
    ),
    "query-migrate-capabilities": command({}, () =>
      CAPABILITY_NAMES.map((capability) => ({
        capability,
        state: control.capabilities[capability],
      }))),
    "migrate-set-parameters": command(PARAMETERS, (parameters) => {
      control.setParameters(parameters as ParameterChanges);
      return {};
    }),
    "query-migrate-parameters": command({}, () => control.parameters),
  };
}
