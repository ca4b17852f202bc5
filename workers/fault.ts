/**
 * The fault thread of a destination.
 *
 * @module
 */
import {
  FaultLoop,
  type FaultStart,
  type FromFault,
  type ToFault,
} from "../src/postcopy/fault_loop.ts";
import { rehearseFaults } from "../src/postcopy/rehearse_faults.ts";
import { serveWorker } from "../src/threads/worker_port.ts";

serveWorker<FaultStart, ToFault, FromFault>(async (start, port) => {
  const loop = new FaultLoop(start, port);
  port.ready();
  await loop.run();
}, (_, isOver) => rehearseFaults(isOver));
