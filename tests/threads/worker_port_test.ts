import { assertThrows } from "@std/assert";
import { serveWorker } from "../../src/threads/worker_port.ts";

Deno.test("serveWorker() refuses to serve where there is no worker", () => {
  assertThrows(() => serveWorker(() => {}), TypeError, "Not in a worker");
});
