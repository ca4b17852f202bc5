/**
 * The thread of one TLS connection.
 *
 * @module
 */
import { serveWorker } from "../src/threads/worker_port.ts";
import { tlsSession } from "../src/transport/tls_session.ts";

serveWorker(tlsSession);
