/**
 * Postcopy over TLS: who has connected before is no reason to let somebody else in when it is mended.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { TransportError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { Authority, tlsTest } from "../support/certificates.ts";
import { closeQuietly, connectTo, writeAll } from "../support/sockets.ts";
import { Tap } from "../support/tap.ts";
import { Events } from "./fixtures/events.ts";
import { Pair, settings } from "./fixtures/pair.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");

for (const capabilities of [{}, { "postcopy-preempt": true }, { multifd: true }]) {
  const how = Object.keys(capabilities).join() || "one channel";
  tlsTest(
    `Postcopy over TLS is mended by its own source, and by nobody else (${how})`,
    async (ca) => {
      const credentials = async (authority: Authority) =>
        await authority.folder({
          server: await authority.issue("server", { names: ["IP:127.0.0.1"] }),
          client: await authority.issue("client"),
        });
      const folder = await credentials(ca);
      await using stranger = await Authority.create({ subject: "/CN=stranger" });
      const foreign = await credentials(stranger);

      await using pair = await Pair.create({ blocks: { ram: 1000 }, vcpus: ["stress,rate=max"] });
      const set = { "postcopy-ram": true, ...capabilities };
      const slow = { "max-postcopy-bandwidth": 100_000 };
      const [here, there] = [new Events(), new Events()];
      let refused = Promise.withResolvers<TransportError>();
      const incoming = pair.receive({
        ...settings(set, { "tls-creds": folder }),
        onEvent: there.on,
        transport: { onRefused: (error) => refused.resolve(error) },
      });
      await using tap = new Tap({ to: formatUri(await incoming.listening) });
      const outgoing = pair.send(tap.uri, {
        ...settings(set, { "tls-creds": folder, ...slow }),
        onEvent: here.on,
      });
      outgoing.startPostcopy();
      await here.seen("postcopy-active");
      tap.cut();
      await Promise.all([here, there].map((side) => side.seen("postcopy-paused")));
      for (let i = 0; i < tap.accepted; i++) {
        // A handshake's record: nothing was said before it, nor without it.
        assertEquals([...tap.forward(i).bytes.subarray(0, 2)], [22, 3], `connection ${i}`);
      }

      const again = await incoming.recover(ANY_PORT);
      // Somebody without TLS.
      const visitor = await connectTo(formatUri(again));
      await writeAll(visitor, new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
      assertStringIncludes((await refused.promise).message, "TLS");
      closeQuietly(visitor);
      // Somebody whose certificate is another authority's.
      refused = Promise.withResolvers();
      outgoing.setParameters(settings({}, { "tls-creds": foreign, ...slow }).parameters);
      outgoing.resume(again);
      await here.seen("postcopy-paused", 2);
      assertStringIncludes(outgoing.info()["error-desc"]!, "authority that is not trusted");
      await refused.promise;
      assertEquals(incoming.status, "postcopy-paused");
      assert(pair.destination.running);

      // And the one who was there before.
      outgoing.setParameters(settings({}, { "tls-creds": folder }).parameters);
      outgoing.resume(again);
      await Promise.all([outgoing.completed, incoming.completed]);
      await pair.destination.stop();
      assertEquals(await verifyRam(pair.destination), undefined);
    },
  );
}
