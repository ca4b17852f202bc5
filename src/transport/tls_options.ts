/**
 * What {@linkcode connect} and {@linkcode listen} need to know for TLS; `tls_credentials.ts` makes of it
 * what a thread needs.
 *
 * @module
 */
import type { AuthorizationList } from "./tls_authorization.ts";

/** Whose certificates are used, and which of the peer's are accepted. */
export interface TlsOptions {
  /** The folder with the files that QEMU's `tls-creds-x509` has in its `dir`. */
  readonly folder: string;
  /**
   * For a destination: whether a source needs a certificate of the authority.
   * @default {true}
   */
  readonly verifyPeer?: boolean;
  /** For a source: the name in the destination's certificate, if it is not the host of the URI. */
  readonly hostname?: string;
  /**
   * Whether TLS's own farewell (`close_notify`) comes before the end, as on QEMU's multifd channels: there
   * QEMU 10.0 misses it. On others it would come when nobody reads any more, and who closes a connection
   * with something unread resets it: what that side said last might never arrive.
   * @default {false}
   */
  readonly farewell?: boolean;
  /** For a destination: which certificates are let in; without it all of the authority's. */
  readonly authorization?: AuthorizationList;
}

/**
 * What a listener asks for each connection; as long as it is the same object, its files are not read again.
 * @returns Nothing for connections that are not encrypted.
 */
export type TlsSource = () => Promise<TlsOptions | undefined>;

/** What a thread needs to speak TLS on a connection: it is posted to it. */
export interface TlsSetup {
  /** Which side this is: a source is the client. */
  readonly role: "client" | "server";
  /** The authorities, in PEM. */
  readonly authorities: string;
  /** This side's certificate and what leads from it to an authority, in PEM. */
  readonly certificate?: string;
  /** Its key, in PEM. */
  readonly key?: string;
  /** What was revoked, in PEM, with its path. */
  readonly revoked?: { readonly pem: string; readonly path: string };
  /** See {@linkcode TlsOptions.farewell}. */
  readonly farewell?: boolean;
  /** For a client: the name in the server's certificate. */
  readonly hostname?: string;
  /** For a server: whether clients need a certificate. */
  readonly verifyPeer: boolean;
  /** For a server: who is let in. */
  readonly authorization?: AuthorizationList;
}
