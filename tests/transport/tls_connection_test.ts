import { assert, assertEquals, assertRejects } from "@std/assert";
import { SettingError, TransportError } from "../../src/errors.ts";
import { connect } from "../../src/transport/connect.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import type { TransportOptions } from "../../src/transport/options.ts";
import type { TlsOptions } from "../../src/transport/tls_options.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { type Authority, tlsTest } from "../support/certificates.ts";
import { pattern, patternMismatch } from "./pattern.ts";
import { readAll, temporaryDirectory } from "./connected.ts";
import { RemoteChannel } from "./remote_channel.ts";

const NAMES = { names: ["DNS:ferry.test", "IP:127.0.0.1"] };

/** One folder with a server's and a client's certificates. */
async function credentials(authority: Authority): Promise<string> {
  return await authority.folder({
    server: await authority.issue("server", NAMES),
    client: await authority.issue("client"),
  });
}

interface Both {
  readonly server: TlsOptions;
  readonly client?: TlsOptions | undefined;
  readonly uri?: string;
  readonly options?: TransportOptions;
}

/** Connects and hands both endpoints over; whoever fails says why. */
async function connected({ server, client, uri = "tcp:127.0.0.1:0", options = {} }: Both) {
  const refused: TransportError[] = [];
  await using listener = await listen(parseUri(uri), {
    ...options,
    tls: server,
    onRefused: (error) => refused.push(error),
  });
  const ours = await connect(listener.uri, { ...options, tls: client });
  const peers = await listener.accept();
  assert(peers);
  return [ours, peers] as const;
}

async function close(...endpoints: readonly Endpoint[]): Promise<void> {
  for (const endpoint of endpoints) await endpoint.close();
}

tlsTest(
  "TLS carries bytes both ways, and the end of one side leaves the other open",
  async (ca) => {
    const folder = await credentials(ca);
    for (const handOff of ["descriptor", "bridge"] as const) {
      const [ours, peers] = await connected({
        server: { folder },
        client: { folder },
        options: { handOff },
      });
      const [near, far] = [openChannel(ours.handOff()), openChannel(peers.handOff())];
      await near.write(pattern(1000));
      await near.shutdown();
      assertEquals(await readAll(far), pattern(1000));
      await far.write(pattern(500, 7));
      await far.shutdown();
      assertEquals(await readAll(near), pattern(500, 7));
      near.close();
      far.close();
      await close(ours, peers);
    }
  },
);
