/**
 * What both sides must agree on before anything else comes (wire-format §1.4; QEMU `migration/savevm.c`,
 * `configuration_post_load` and its subsections): some capabilities, and with `validate-uuid` which machine
 * it is.
 *
 * @module
 */
import { IncompatibleError, SettingError } from "../errors.ts";
import { formatUuid, sameUuid } from "../machine/uuid.ts";
import { type Configuration, hasCapability, withCapability } from "../wire/configuration.ts";
import { type Capabilities, type CapabilityName, isCapabilityName } from "./capabilities.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";

/** The capabilities that the stream names: it looks different with them. */
const VALIDATED: readonly CapabilityName[] = ["x-ignore-shared", "mapped-ram"];

/** The configuration that a source sends. */
export function sentConfiguration(
  machine: Pick<OutgoingMachine, "configuration" | "uuid">,
  capabilities: Capabilities,
): Configuration {
  const { uuid } = machine;
  const mappedRam = capabilities["mapped-ram"];
  const configuration = withCapability(machine.configuration, "mapped-ram", mappedRam);
  return capabilities["validate-uuid"] && uuid ? { ...configuration, uuid } : configuration;
}

/** Whether a stream leaves out the RAM that both sides have as a file (`x-ignore-shared`). */
export function leavesRamOut(configuration: Configuration): boolean {
  return hasCapability(configuration, "x-ignore-shared");
}

/**
 * Refuses capabilities that would not have their effect on what is to be sent. `x-ignore-shared` has none,
 * because the RAM of a machine here is no file that another process has; from an image such RAM is missing
 * or not, whatever its sender is told. A `background-snapshot` would be an ordinary migration.
 * @throws {SettingError} If the machine cannot be sent with these capabilities.
 */
export function requireSendable(
  { configuration }: Pick<OutgoingMachine, "configuration">,
  capabilities: Capabilities,
): void {
  if (capabilities["background-snapshot"]) {
    throw new SettingError(
      "Capability 'background-snapshot' is not possible: a guest here does not wait until a page that " +
        "it wants to write is saved",
      { advice: "Turn it off: without it, a machine is saved as it is at the end." },
    );
  }
  const leftOut = leavesRamOut(configuration);
  if (capabilities["x-ignore-shared"] && !leftOut) {
    throw new SettingError(
      "Capability 'x-ignore-shared' is not possible: no RAM of this machine is a file that the " +
        "destination has, too",
      { advice: "Turn it off; it is for images of a QEMU that had it on." },
    );
  }
  const excluded = [["postcopy-ram", "Postcopy"], ["mapped-ram", "Mapped-ram"]] as const;
  for (const [name, words] of excluded) {
    if (!capabilities[name] || !leftOut) continue;
    throw new SettingError(
      `${words} is not compatible with ignore-shared, which the image was made with`,
    );
  }
}

/**
 * Compares the capabilities that a stream names with those of this side.
 * @throws {IncompatibleError} If one is on at one side only, or unknown.
 */
export function requireSameCapabilities(
  configuration: Configuration,
  capabilities: Capabilities,
): void {
  const theirs = configuration.capabilities ?? [];
  const unknown = theirs.find((name) => !isCapabilityName(name));
  if (unknown !== undefined) {
    throw new IncompatibleError(`The source has a capability "${unknown}", which is unknown here`);
  }
  for (const name of VALIDATED) {
    const there = theirs.includes(name);
    if (there === capabilities[name]) continue;
    throw new IncompatibleError(
      `Capability ${name} is ${there ? "on" : "off"} at the source and ` +
        `${there ? "off" : "on"} here`,
      { advice: "Both sides must have the same capabilities." },
    );
  }
}

/**
 * Compares the UUID that a stream names with that of the machine here. A side without one takes any.
 * @throws {IncompatibleError} If they differ.
 */
export function requireSameUuid(
  configuration: Configuration,
  uuid: Uint8Array | undefined,
): void {
  if (!configuration.uuid || !uuid || sameUuid(configuration.uuid, uuid)) return;
  throw new IncompatibleError(
    `The stream is of machine ${formatUuid(configuration.uuid)}, this one is ${formatUuid(uuid)}`,
    { advice: "Give both machines the same UUID, or turn the source's `validate-uuid` off." },
  );
}
