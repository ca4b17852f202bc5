/**
 * How much memory the host can still provide. Read with FFI, which whoever asks has anyway: Deno lets
 * a program read `/proc` only with all permissions.
 *
 * @module
 */
import { closeDescriptor, libc, openReadOnly } from "./libc.ts";

/** The file is some 1500 bytes. */
const SIZE = 4096;

/** What the host can provide without swapping, in bytes; 0 if it does not say. */
export function availableMemory(): number {
  const fd = openReadOnly("/proc/meminfo");
  if (fd < 0) return 0;
  const bytes = new Uint8Array(SIZE);
  const count = Number(libc()!.read(fd, bytes, BigInt(SIZE)));
  closeDescriptor(fd);
  const text = new TextDecoder().decode(bytes.subarray(0, Math.max(0, count)));
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}
