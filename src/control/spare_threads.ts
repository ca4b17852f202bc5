/**
 * Which threads a migration with certain settings will need, to have them before it begins.
 *
 * @module
 */
import { MAPPED_READ } from "../mapped_ram/mapped_reader.ts";
import { MAPPED_WRITE } from "../mapped_ram/mapped_writer.ts";
import { MULTIFD_RECEIVE } from "../multifd/multifd_receiver.ts";
import { MULTIFD_SEND } from "../multifd/multifd_sender.ts";
import { FAULT } from "../postcopy/fault_thread.ts";
import { RETURN_PATH } from "../postcopy/return_path.ts";
import { MAIN_RECEIVE } from "../ram/incoming_stream.ts";
import { MAIN_SEND } from "../ram/outgoing_stream.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { Rehearsal } from "../threads/worker_port.ts";
import { TLS_SESSION } from "../transport/tls_connection.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Parameters } from "./parameters.ts";

/** More than this many channels get their other threads when they are needed. */
const CHANNELS_MAX = 16;

/** What a migration is told, as far as threads depend on it. */
export interface ThreadSettings {
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
}

/** Begins to start what an outgoing migration will need. */
export function prepareOutgoing(spares: SpareWorkers, settings: ThreadSettings): void {
  spares.prepare(MAIN_SEND, 1);
  const { "return-path": returnPath, "postcopy-ram": postcopy } = settings.capabilities;
  if (returnPath || postcopy) spares.prepare(RETURN_PATH, 1, rehearsalOf(settings));
  if (settings.capabilities["mapped-ram"]) spares.prepare(MAPPED_WRITE, pageThreadsOf(settings));
  else spares.prepare(MULTIFD_SEND, channelsOf(settings));
  prepareTls(spares, settings);
}

/** Begins to start what an incoming migration will need. */
export function prepareIncoming(spares: SpareWorkers, settings: ThreadSettings): void {
  const { "postcopy-ram": postcopy, "postcopy-preempt": preempt } = settings.capabilities;
  if (settings.capabilities["mapped-ram"]) {
    return spares.prepare(MAPPED_READ, pageThreadsOf(settings));
  }
  spares.prepare(MAIN_RECEIVE, preempt ? 2 : 1, rehearsalOf(settings));
  if (postcopy) spares.prepare(FAULT, 1, "postcopy");
  spares.prepare(MULTIFD_RECEIVE, channelsOf(settings));
  prepareTls(spares, settings);
}

/** A guest waits for every page of postcopy: by then its threads had better know what they do. */
function rehearsalOf({ capabilities }: ThreadSettings): Rehearsal {
  return capabilities["postcopy-ram"] ? "postcopy" : "precopy";
}

function prepareTls(spares: SpareWorkers, settings: ThreadSettings): void {
  if (settings.parameters["tls-creds"] === "") return;
  const { "postcopy-preempt": preempt } = settings.capabilities;
  spares.prepare(TLS_SESSION, 1 + channelsOf(settings) + (preempt ? 1 : 0));
}

/** A mapped-ram file has a thread for its pages without multifd, too. */
function pageThreadsOf(settings: ThreadSettings): number {
  return Math.max(1, channelsOf(settings));
}

function channelsOf({ capabilities, parameters }: ThreadSettings): number {
  return capabilities.multifd ? Math.min(parameters["multifd-channels"], CHANNELS_MAX) : 0;
}
