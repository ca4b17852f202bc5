/**
 * The thread that provides a destination's RAM while it waits for its source.
 *
 * @module
 */
import { provide, type ProvideRequest } from "../src/os/provide.ts";
import { serveWorker } from "../src/threads/worker_port.ts";

serveWorker<ProvideRequest>((request, port) => {
  port.ready();
  provide(request);
});
