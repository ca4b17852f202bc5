/**
 * `deno task bench:converge`: how migrations come to an end whose guest writes faster than the connection
 * carries, Ferry's beside QEMU 10.0's, with the same guest, in turn: as differences (XBZRLE), and by making
 * the guest slower (auto-converge).
 *
 * @module
 */
import { findQemu } from "../tests/support/qemu_program.ts";
import { BANDWIDTH, BUSY, ferryMoves, qemuMoves } from "./converge/auto_converge.ts";
import { ferryXbzrle, LINK, qemuXbzrle, SPARSE } from "./converge/xbzrle.ts";
import { median, printTable, progress, say, spread } from "./versus_qemu/table.ts";

const MIB = 1024 ** 2;
const PAIRS = 3;

/** Measures both in turn; who begins changes with each pair. */
async function inTurn<T>(
  what: string,
  ferry: () => Promise<T>,
  qemu: () => Promise<T>,
): Promise<{ ferry: T[]; qemu: T[] }> {
  const all: { ferry: T[]; qemu: T[] } = { ferry: [], qemu: [] };
  for (let pair = 0; pair < PAIRS; pair++) {
    progress(`${what}: pair ${pair + 1} of ${PAIRS}`);
    if (pair % 2 === 0) all.qemu.push(await qemu());
    all.ferry.push(await ferry());
    if (pair % 2 === 1) all.qemu.push(await qemu());
  }
  progress("");
  return all;
}

/** Prints figures of which less is better. */
function print(figures: readonly { what: string; qemu: number[]; ferry: number[] }[]): void {
  printTable(
    ["", "QEMU", "Ferry", "Ferry by QEMU", "goal"],
    figures.map(({ what, qemu, ferry }) => {
      const ratio = median(ferry) / median(qemu);
      return [
        ...[what, spread(qemu), spread(ferry), ratio.toFixed(2)],
        `1 ${ratio <= 1 ? "met" : "MISSED"}`,
      ];
    }),
  );
}

const missing = findQemu("10.0");
if (typeof missing === "string") {
  say(`No comparison: ${missing}`);
  Deno.exit(1);
}
say(`${PAIRS} pairs; medians, and in parentheses the least and the most.\n`);
const encoded = await inTurn("XBZRLE", ferryXbzrle, qemuXbzrle);
const pagesInRound = (all: readonly { pagesInRound: number }[]) =>
  median(all.map((one) => one.pagesInRound)).toFixed(0);
const [range, link] = [SPARSE.range / MIB, LINK / MIB];
say(`XBZRLE: one byte of each page changes, ${range} MiB, ${link} MiB/s; processor time, of all`);
say("threads but the vCPU, for a page that is sent as differences.");
say(
  `Pages in a round: QEMU ${pagesInRound(encoded.qemu)}, Ferry ${pagesInRound(encoded.ferry)}.\n`,
);
print([{
  what: "µs a page",
  qemu: encoded.qemu.map(({ page }) => page),
  ferry: encoded.ferry.map(({ page }) => page),
}]);
const moved = await inTurn("auto-converge", ferryMoves, qemuMoves);
const percents = (all: readonly { throttle: number }[]) =>
  all.map((one) => one.throttle).join(", ");
say(
  `auto-converge: ${BUSY.range / MIB} MiB written every ${BUSY.pace} ms, ${BANDWIDTH / MIB} MiB/s.`,
);
say(`Throttled at last: QEMU ${percents(moved.qemu)} %, Ferry ${percents(moved.ferry)} %.\n`);
print([{
  what: "s until it has moved",
  qemu: moved.qemu.map(({ seconds }) => seconds),
  ferry: moved.ferry.map(({ seconds }) => seconds),
}]);
