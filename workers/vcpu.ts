/**
 * The thread of one vCPU.
 *
 * @module
 */
import { runVcpu } from "../src/machine/vcpu_loop.ts";
import { serveWorker } from "../src/threads/worker_port.ts";

serveWorker(runVcpu);
