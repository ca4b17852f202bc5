/**
 * How the command line's migrations open sockets.
 *
 * @module
 */
import type { TransportOptions } from "../transport/options.ts";
import type { MigrationArguments } from "./arguments.ts";

/**
 * What connections are opened with. `vsock` would end the process if Deno was started without its flag,
 * and nothing tells but the presence of what the flag adds.
 */
export function transportOf(
  { publicApi }: Pick<MigrationArguments, "publicApi">,
): Pick<TransportOptions, "handOff" | "vsock"> {
  return {
    handOff: publicApi ? "bridge" : "descriptor",
    vsock: Deno.args.includes("--vsock"),
  };
}
