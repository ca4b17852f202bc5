/**
 * A setup as Ferry's migrations take it.
 *
 * @module
 */
import {
  type Capabilities,
  changeCapabilities,
  defaultCapabilities,
} from "../../src/control/capabilities.ts";
import {
  changeParameters,
  defaultParameters,
  type Parameters,
} from "../../src/control/parameters.ts";
import type { Setup } from "./process.ts";

/** The machine's name: that of the QEMU machine type without devices, so that QEMU takes it. */
export const MACHINE = "none";
/** The one block of RAM, as that machine type calls it. */
export const BLOCK = "ram";

/** The capabilities and parameters of a setup. */
export function settingsOf(
  { multifd, credentials, parameters }: Setup,
): { capabilities: Capabilities; parameters: Parameters } {
  return {
    capabilities: changeCapabilities(defaultCapabilities(), { multifd }),
    parameters: changeParameters(defaultParameters(), {
      ...parameters,
      ...credentials !== undefined && { "tls-creds": credentials },
    }),
  };
}
