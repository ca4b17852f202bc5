/**
 * The operating system's reasons, in words.
 *
 * @module
 */

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "this machine does not have that address",
  EAI_AGAIN: "the host name cannot be looked up now",
  ECONNABORTED: "the connection was aborted",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by the peer",
  EDQUOT: "disk quota exceeded",
  EFBIG: "the file is too large",
  EHOSTUNREACH: "no route to the host",
  EIO: "input/output error",
  EISDIR: "is a directory",
  EMFILE: "too many open files",
  ENETDOWN: "the network is down",
  ENETUNREACH: "the network is unreachable",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on the device",
  ENOTCONN: "not connected",
  ENOTDIR: "part of the path is not a directory",
  ENOTFOUND: "the host name is unknown",
  EPERM: "operation not permitted",
  EPIPE: "the peer closed the connection",
  EROFS: "the file system is read-only",
  ETIMEDOUT: "timed out",
};

/** The error's code, such as `ECONNREFUSED`, if the operating system or Deno gave one. */
export function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if ("code" in thrown && typeof thrown.code === "string") return thrown.code;
  return thrown instanceof AggregateError ? codeOf(thrown.errors[0]) : undefined;
}

/**
 * Why a system call failed, for the end of a message: no capital, no full stop.
 * @param thrown What was caught.
 */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return [...new Set(thrown.errors.map(reasonOf))].join(", ");
  }
  const known = REASONS[codeOf(thrown) ?? ""];
  if (known !== undefined) return known;
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.message === "" ? thrown.name : thrown.message;
}
