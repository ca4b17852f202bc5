/**
 * A program for local_test.ts, because descriptors can only be given to a process of its own: reads or
 * writes the one named by its second argument, or hands one end of a socket pair to a child of itself.
 *
 * @module
 */
import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { connect } from "../../src/transport/connect.ts";
import { takeDescriptor } from "../../src/transport/descriptor.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { readAll } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

const [what, fd] = Deno.args;

function say(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  to.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function main(): Promise<void> {
  switch (what) {
    case "read": {
      const listener = await listen(parseUri(`fd:${fd}`));
      const endpoint = await listener.accept();
      if (!endpoint) throw new Error("No endpoint");
      const channel = openChannel(endpoint.handOff());
      const bytes = await readAll(channel);
      await endpoint.finish();
      channel.close();
      say(Deno.stdout, `${bytes.length} bytes, mismatch ${patternMismatch(bytes)}`);
      break;
    }
    case "write": {
      const endpoint = await connect(parseUri(`fd:${fd}`));
      const channel = openChannel(endpoint.handOff());
      try {
        await channel.write(pattern(300_000));
        await channel.shutdown();
      } finally {
        await endpoint.finish();
      }
      channel.close();
      break;
    }
    case "echo": {
      const endpoint = await connect(parseUri(`fd:${fd}`));
      const channel = openChannel(endpoint.handOff());
      const bytes = await readAll(channel);
      await channel.write(bytes);
      await channel.shutdown();
      channel.close();
      break;
    }
    case "socket pair": {
      const child = spawn(
        Deno.execPath(),
        ["run", "--quiet", "--allow-all", import.meta.url, "echo", "3"],
        { stdio: ["ignore", "inherit", "inherit", "pipe"] }, // the last one is a socket pair
      );
      const ours = child.stdio[3] as Socket;
      const channel = openChannel({
        kind: "descriptor",
        fd: takeDescriptor(ours),
        peer: "the child",
        direction: "both",
        transport: "unix",
      });
      await channel.write(pattern(300_000));
      await channel.shutdown();
      const bytes = await readAll(channel);
      channel.close();
      say(Deno.stdout, `${bytes.length} bytes, mismatch ${patternMismatch(bytes)}`);
    }
  }
}

try {
  await main();
} catch (error) {
  say(Deno.stderr, error instanceof Error ? error.message : String(error));
  Deno.exit(1);
}
