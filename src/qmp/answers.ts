/**
 * What the commands answer, for who wants to know before asking (`query-qmp-schema`). Nothing is checked by
 * it while a command runs; that each answer is as it says here, and that QEMU says the same, is for the tests.
 *
 * @module
 */
import { CAPABILITY_NAMES } from "../control/capabilities.ts";
import { MIGRATION_STATUSES } from "../control/migration_status.ts";
import { RUN_STATES } from "../machine/run_state.ts";
import {
  any,
  type ArgumentType,
  boolean,
  choice,
  integer,
  list,
  type Members,
  number,
  object,
  optional,
  string,
  unsigned64,
} from "./argument_types.ts";

const size = unsigned64;

/** All members that a union can have: which of them are there depends on its other members. */
const SOCKET_ADDRESS = {
  type: choice(["inet", "unix", "vsock", "fd"]),
  ...allOptional({ host: string, port: string, to: integer, ipv4: boolean, ipv6: boolean }),
  ...allOptional({ "keep-alive": boolean, path: string, cid: string, str: string }),
};

/** Where a migration goes or comes from, apart from the URI. */
export const CHANNELS: ArgumentType<readonly unknown[]> = list(object({
  "channel-type": choice(["main"]),
  addr: object({
    transport: choice(["socket", "exec", "file"]),
    ...allOptional({ ...SOCKET_ADDRESS, args: list(string), filename: string, offset: size }),
  }),
}));

const RAM = object({
  ...{ transferred: size, remaining: size, total: size, duplicate: size, normal: size },
  ...{ "normal-bytes": size, "dirty-pages-rate": size, mbps: number, "dirty-sync-count": size },
  ...{ "postcopy-requests": size, "page-size": size, "multifd-bytes": size },
  ...{ "pages-per-second": size, "precopy-bytes": size, "downtime-bytes": size },
  ...{ "postcopy-bytes": size, "dirty-sync-missed-zero-copy": size },
});

const XBZRLE_CACHE = object({
  ...{ "cache-size": size, bytes: size, pages: size, "cache-miss": size },
  ...{ "cache-miss-rate": number, "encoding-rate": number, overflow: size },
});

const CHANNEL_INFO = object({
  ...{ name: string, bytes: size, packets: size, normal: size, duplicate: size },
  ...{ "idle-time": integer, "wait-time": integer },
});

const MIGRATION_INFO = object(allOptional({
  ...{ status: choice(MIGRATION_STATUSES), ram: RAM, "xbzrle-cache": XBZRLE_CACHE },
  ...{ "total-time": integer, "setup-time": integer, downtime: integer },
  ...{ "expected-downtime": integer, "cpu-throttle-percentage": integer },
  ...{ "dirty-limit-throttle-time-per-round": integer, "dirty-limit-ring-full-time": integer },
  ...{ "error-desc": string, "blocked-reasons": list(string) },
  ...{ "socket-address": list(object(SOCKET_ADDRESS)) },
  ...{ "postcopy-blocktime": integer, "postcopy-vcpu-blocktime": list(integer) },
  ...{ "postcopy-latency": integer, "postcopy-vcpu-latency": list(integer) },
  ...{ "postcopy-non-vcpu-latency": integer, "postcopy-latency-dist": list(integer) },
  ...{ "postcopy-latency-p50": integer, "postcopy-latency-p99": integer },
  ...{ "postcopy-faults": string, "multifd-channels": list(CHANNEL_INFO), "dirty-log": string },
}));

const DIRTY_RATE = object({
  ...{ status: choice(["unstarted", "measuring", "measured"]), "start-time": integer },
  ...{ "calc-time": integer, "calc-time-unit": choice(["second", "millisecond"]) },
  ...{ "sample-pages": integer, mode: choice(["page-sampling", "dirty-ring", "dirty-bitmap"]) },
  "dirty-rate": optional(integer),
  "vcpu-dirty-rate": optional(list(object({ id: integer, "dirty-rate": integer }))),
});

const VERSION = object({
  qemu: object({ major: integer, minor: integer, micro: integer }),
  package: string,
});

/**
 * By the commands' names; a command that is not here answers `{}`.
 * @param parameters The types of the migration parameters.
 */
export function answerTypes(parameters: Members): Readonly<Record<string, ArgumentType<unknown>>> {
  return {
    "query-migrate": MIGRATION_INFO,
    "query-migrationthreads": list(object({ name: string, "thread-id": integer })),
    "query-migrate-capabilities": list(
      object({ capability: choice(CAPABILITY_NAMES), state: boolean }),
    ),
    "query-migrate-parameters": object(parameters),
    "query-status": object({ status: choice(RUN_STATES), running: boolean }),
    "query-name": object({ name: optional(string) }),
    "query-uuid": object({ UUID: string }),
    "query-cpus-fast": list(object({
      ...{ "cpu-index": integer, "qom-path": string, "thread-id": integer },
      target: choice(["wasm32"]),
    })),
    "query-yank": list(object({ type: choice(["migration"]) })),
    "query-dirty-rate": DIRTY_RATE,
    "query-vcpu-dirty-limit": list(
      object({ "cpu-index": integer, "limit-rate": size, "current-rate": size }),
    ),
    "query-version": VERSION,
    "query-commands": list(object({ name: string })),
    // Its elements are objects of many kinds, one of which would be this one.
    "query-qmp-schema": list(any),
  };
}

function allOptional(members: Members): Members {
  return Object.fromEntries(
    Object.entries(members).map(([name, type]) => [name, optional(type)]),
  );
}
