/**
 * The thread of an incoming main channel.
 *
 * @module
 */
import { openPageDecoder } from "../src/postcopy/page_decoder.ts";
import { rehearsePlacing } from "../src/postcopy/rehearse_placing.ts";
import {
  type FromMainReceive,
  LoadLoop,
  type MainReceiveStart,
  type ToMainReceive,
} from "../src/ram/load_loop.ts";
import { rehearseLoading } from "../src/ram/rehearsal.ts";
import { toPostedError } from "../src/threads/posted_error.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { openChannel } from "../src/transport/open_channel.ts";

serveWorker<MainReceiveStart, ToMainReceive, FromMainReceive>(async (start, port) => {
  const loop = new LoadLoop(openChannel(start.channel), start, openPageDecoder);
  port.ready();
  const filling = loop.fill().catch((error) => {
    port.post({ kind: "broken", error: toPostedError(error) });
  });
  for await (const message of port) {
    if (message.kind === "ram") loop.setRam(message.ram);
    else if (message.kind === "postcopy") loop.setPostcopy(message.postcopy);
    else {
      loop.takeTurn(message.position).then(
        (position) => port.post({ kind: "turn-done", position }),
        (error) => port.post({ kind: "turn-failed", error: toPostedError(error) }),
      );
    }
  }
  loop.stop();
  await filling;
}, async (rehearsal, isOver) => {
  await rehearseLoading();
  if (rehearsal === "postcopy") await rehearsePlacing(isOver);
});
