import { assert, assertEquals, assertThrows } from "@std/assert";
import { connect, createServer, type TLSSocket } from "node:tls";
import { TransportError } from "../../src/errors.ts";
import { ChannelDuplex } from "../../src/transport/channel_duplex.ts";
import { onlyIdentity } from "../../src/transport/tls_authorization.ts";
import type { TlsSetup } from "../../src/transport/tls_options.ts";
import { checkPeer } from "../../src/transport/tls_peer.ts";
import { Authority, type Issued, tlsTest } from "../support/certificates.ts";
import { connectedChannels } from "./connected.ts";

interface Sockets extends Disposable {
  readonly client: TLSSocket;
  readonly server: TLSSocket;
}

/** Both ends of a connection whose own checks were switched off. */
async function unchecked(server: Issued, client: Issued | undefined): Promise<Sockets> {
  const [near, far] = await connectedChannels();
  const accepted = Promise.withResolvers<TLSSocket>();
  const listening = createServer(
    {
      ...{ cert: server.certificate, key: server.key, ca: server.certificate },
      ...{ requestCert: true, rejectUnauthorized: false },
    },
    accepted.resolve,
  );
  listening.emit("connection", new ChannelDuplex(far));
  const socket = connect({
    socket: new ChannelDuplex(near),
    rejectUnauthorized: false,
    ...client && { cert: client.certificate, key: client.key },
  });
  for (const each of [socket, listening]) each.on("error", () => {});
  await new Promise((resolve) => socket.on("secureConnect", resolve));
  return {
    client: socket,
    server: await accepted.promise,
    [Symbol.dispose]: () => {
      near.close();
      far.close();
    },
  };
}

tlsTest("checkPeer() relies on no check but its own and Node's together", async (ca) => {
  const server = await ca.issue("server", { names: ["DNS:a.test"] });
  using sockets = await unchecked(server, await ca.issue("client"));
  const setup: TlsSetup = {
    ...{ role: "client", authorities: ca.own.certificate, verifyPeer: true, hostname: "a.test" },
  };
  // Node was not given the authority, and Ferry would accept it: it is refused.
  assert(!sockets.client.authorized);
  assertThrows(
    () => checkPeer(sockets.client, setup),
    TransportError,
    "server's certificate was not",
  );
  // And the other way round.
  Object.assign(sockets.client, { authorized: true });
  checkPeer(sockets.client, setup);
  await using stranger = await Authority.create({ subject: "/CN=stranger" });
  assertThrows(
    () => checkPeer(sockets.client, { ...setup, authorities: stranger.own.certificate }),
    TransportError,
    "The server's certificate is of an authority that is not trusted",
  );
  const wrong = assertThrows(
    () => checkPeer(sockets.client, { ...setup, hostname: "b.test" }),
    TransportError,
    "does not match the hostname b.test: it is for DNS:a.test",
  );
  assertEquals(wrong.advice, "Set tls-hostname to a name that it is for.");
  assertThrows(() => checkPeer(sockets.client, { ...setup, hostname: "" }), TransportError);
});

tlsTest("checkPeer() asks a client for its name where there are rules", async (ca) => {
  using sockets = await unchecked(
    await ca.issue("server"),
    await ca.issue("client", { subject: "/C=GB/CN=friend" }),
  );
  const setup: TlsSetup = { role: "server", authorities: ca.own.certificate, verifyPeer: true };
  Object.assign(sockets.server, { authorized: true });
  checkPeer(sockets.server, setup);
  checkPeer(sockets.server, { ...setup, authorization: onlyIdentity("C=GB,CN=friend") });
  assertThrows(
    () => checkPeer(sockets.server, { ...setup, authorization: onlyIdentity("CN=friend,C=GB") }),
    TransportError,
    "is not authorised: C=GB,CN=friend",
  );
});

tlsTest("checkPeer() takes nobody without a certificate, unless it need not look", async (ca) => {
  using sockets = await unchecked(await ca.issue("server"), undefined);
  const setup: TlsSetup = { role: "server", authorities: ca.own.certificate, verifyPeer: true };
  Object.assign(sockets.server, { authorized: true });
  assertThrows(() => checkPeer(sockets.server, setup), TransportError, "is missing");
  checkPeer(sockets.server, { ...setup, verifyPeer: false });
});
