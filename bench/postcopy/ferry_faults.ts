/**
 * Ferry to Ferry: page faults as the guest at the destination sees them.
 *
 * @module
 */
import type { MigrationInfo } from "../../src/control/migration_info.ts";
import { Talking } from "../versus_qemu/process.ts";
import { type Measured, summarize, type TouchPlan } from "./touch_plan.ts";

/** What else the connection carries: nothing, or all other pages as fast as they go. */
export type Background = "idle" | "full";

/**
 * What is sent in the background of idle measurements, in bytes a second: a page now and then. A limit that
 * is less than a byte in QEMU's slice of 100 ms would be none.
 */
export const IDLE_BANDWIDTH = 4096;

/** What `ferry_end.ts` is started as. */
export interface EndStart {
  readonly side: "source" | "destination";
  readonly plan: TouchPlan;
}

/** What a source is asked to do. */
export type EndQuestion =
  /** Migrate by postcopy; answered when the destination has the machine. */
  | { readonly do: "migrate"; readonly uri: string; readonly background: Background }
  /** Send the rest as fast as it goes; answered when it is sent. */
  | { readonly do: "finish" };

/** What a destination says, one thing at a time. */
export interface Said {
  /** From its guest: of each touch, in microseconds. */
  readonly times?: readonly number[];
  /** Of the migration, when it is complete. */
  readonly info?: MigrationInfo;
}

/** A source whose guest waits for being elsewhere. */
export class FerryFaults implements AsyncDisposable {
  private constructor(private readonly source: Talking, private readonly plan: TouchPlan) {}

  /** Starts the source. @param flags What Deno gets in addition. */
  static async start(plan: TouchPlan, flags: readonly string[] = []): Promise<FerryFaults> {
    const source = end({ side: "source", plan }, flags);
    await source.hear();
    return new FerryFaults(source, plan);
  }

  /** Migrates once. */
  async measure(background: Background, flags: readonly string[] = []): Promise<Measured> {
    const { source, plan } = this;
    await using destination = end({ side: "destination", plan }, flags);
    const uri = await destination.hear<string>();
    await source.ask<unknown, EndQuestion>({ do: "migrate", uri, background });
    // In this order while the background is idle, otherwise in any.
    const first = await destination.hear<Said>();
    await source.ask<unknown, EndQuestion>({ do: "finish" });
    const { times, info } = { ...first, ...await destination.hear<Said>() };
    return {
      ...summarize(times!),
      blocktime: info!["postcopy-blocktime"]!,
      vcpuBlocktime: info!["postcopy-vcpu-blocktime"]![0]!,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
  }
}

function end(start: EndStart, flags: readonly string[]): Talking {
  return new Talking("../postcopy/ferry_end.ts", start, flags);
}
