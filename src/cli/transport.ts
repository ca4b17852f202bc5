/**
 * How the command line's migrations open sockets.
 *
 * @module
 */
import type { SocketOptions } from "../transport/options.ts";
import type { MigrationArguments } from "./arguments.ts";

/** What connections are opened with. The task `migrate` starts Deno with the flag that vsock needs. */
export function transportOf(
  { publicApi }: Pick<MigrationArguments, "publicApi">,
): SocketOptions {
  return {
    handOff: publicApi ? "bridge" : "descriptor",
    vsock: true,
  };
}
