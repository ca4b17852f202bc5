/**
 * Opens a file around the page cache and prints why that does not work. It wants all permissions, as the only
 * files of which it is certain, those of the kernel, do.
 *
 * @module
 */
import { TransportError } from "../../src/errors.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";

const spec = fileSpec("/proc/version", 0, "read");
for (const path of [spec.path, "/proc/none"]) {
  try {
    new FileChannel({ ...spec, path, direct: true });
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    const words = `${error.what} ${error.advice ?? ""}\n`;
    Deno.stdout.writeSync(new TextEncoder().encode(words));
  }
}
