/**
 * A real QEMU and Ferry's QMP server, to be told the same.
 *
 * @module
 */
import { Served, Talk } from "../qmp/fixtures/served.ts";
import type { QemuLab } from "../support/qemu_lab.ts";
import { connectTo } from "../support/sockets.ts";

/** One side of the comparison. */
export interface Side {
  readonly name: "QEMU" | "Ferry";
  /** A new connection, before the negotiation. */
  talk(): Promise<Talk>;
}

/** A machine that runs, or waits to arrive, on each of the two. */
export async function bothSides(lab: QemuLab, arrives: boolean): Promise<Side[]> {
  const path = lab.path(`qmp-${lab.resources.length}`);
  await lab.qemu("10.0", {
    args: ["-qmp", `unix:${path},server=on,wait=off`],
    ...arrives ? { incoming: "defer" } : { machine: "none" },
  });
  const served = lab.use(await Served.create({ arrives }));
  return [
    { name: "QEMU", talk: async () => lab.use(new Talk(await connectTo(`unix:${path}`))) },
    { name: "Ferry", talk: async () => lab.use(await served.talk()) },
  ];
}

/** Conversations with both, first QEMU's, in which commands may come. */
export async function bothTalks(lab: QemuLab, arrives: boolean): Promise<[Talk, Talk]> {
  const talks = (await bothSides(lab, arrives)).map(async (side) => {
    const talk = await side.talk();
    await talk.next();
    await talk.ask({ execute: "qmp_capabilities" });
    return talk;
  });
  return await Promise.all(talks) as [Talk, Talk];
}
