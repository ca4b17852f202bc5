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
  UINT64_NEAR_MAX,
} from "../control/parameters.ts";
import {
  any,
  type ArgumentType,
  boolean,
  choice,
  list,
  type Members,
  object,
  optional,
  string,
  stringOrNull,
  unsigned64,
} from "./argument_types.ts";
import { type Command, command } from "./command.ts";

const CAPABILITY = object({ capability: choice(CAPABILITY_NAMES), state: boolean });

/** Strings for which `null` means the empty one. */
const MAY_BE_NULL: readonly string[] = ["tls-creds", "tls-hostname", "tls-authz"];

/** The type of each parameter is that of its default. */
const PARAMETERS: Members = Object.fromEntries(
  Object.entries({ ...defaultParameters(), "block-bitmap-mapping": [] })
    .map(([name, value]) => [name, optional(typeOf(name, value))]),
);

/** The types of the parameters where they are shown. */
export const PARAMETER_ANSWERS: Members = {
  ...PARAMETERS,
  ...Object.fromEntries(MAY_BE_NULL.map((name) => [name, optional(string)])),
};

function typeOf(name: string, value: unknown): ArgumentType<unknown> {
  if (typeof value === "number") return unsigned64;
  if (typeof value === "boolean") return boolean;
  if (typeof value !== "string") return list(any);
  const words = isParameterName(name) && parameterWords(name);
  if (words) return choice(words);
  return MAY_BE_NULL.includes(name) ? stringOrNull : string;
}

/**
 * As exact as a number is: what is more than the greatest is that. Clients write numbers of 64 bits for
 * "no limit", and nothing here depends on which.
 */
function nearestNumber(value: unknown): unknown {
  return typeof value === "bigint" ? Math.min(Number(value), UINT64_NEAR_MAX) : value;
}

/** The commands. */
export function settingsCommands(control: MigrationControl): Record<string, Command> {
  /** What a client has set and a number would not say exactly. */
  const exact = new Map<string, bigint>();
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
      const entries = Object.entries(parameters);
      control.setParameters(
        Object.fromEntries(
          entries.map(([name, value]) => [name, nearestNumber(value)]),
        ) as ParameterChanges,
      );
      for (const [name, value] of entries) if (typeof value === "bigint") exact.set(name, value);
      return {};
    }),
    "query-migrate-parameters": command({}, () => {
      const shown: Record<string, unknown> = { ...control.parameters };
      for (const [name, value] of exact) {
        if (shown[name] === nearestNumber(value)) shown[name] = value;
      }
      return shown;
    }),
  };
}
