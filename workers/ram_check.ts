/**
 * The thread that verifies or digests RAM.
 *
 * @module
 */
import { runRamCheck } from "../src/machine/verify/ram_check.ts";
import { serveWorker } from "../src/threads/worker_port.ts";

serveWorker(runRamCheck);
