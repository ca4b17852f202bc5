/**
 * Ferry to Ferry: a source that migrates again and again, and a fresh destination each time.
 *
 * @module
 */
import type { Content } from "./content.ts";
import { cpuSeconds, peakMemoryOf, settled, warmUp } from "./host.ts";
import { type BareOutcome, type Outcome, type Setup, Talking } from "./process.ts";
import type { Measured } from "./qemu_side.ts";

/** What is known of a Ferry's migration besides. */
export interface FerryMeasured extends Measured {
  /** The most memory the destination has had, in bytes. */
  readonly peakMemory: number;
}

/** A Ferry with content. */
export class FerrySide implements AsyncDisposable {
  private constructor(
    /** The source. */
    readonly source: Talking,
    private readonly length: number,
  ) {}

  /**
   * Starts the source.
   * @param length The RAM, in bytes.
   * @param flags What Deno gets in addition.
   */
  static async start(
    length: number,
    content: Content,
    flags: readonly string[] = [],
  ): Promise<FerrySide> {
    const source = new Talking("ferry_source.ts", { length, content }, flags);
    await source.hear();
    return new FerrySide(source, length);
  }

  /** Migrates once. @param eager Not to wait until the destination has provided its RAM. */
  async measure(setup: Setup, eager = false): Promise<FerryMeasured> {
    const { source, length } = this;
    await source.ask({ do: "prepare", setup });
    await warmUp(length);
    await using destination = new Talking("ferry_destination.ts", { length, setup });
    const uri = await destination.hear<string>();
    if (!eager) await settled(destination.pid);
    const computed = () => cpuSeconds(source.pid) + cpuSeconds(destination.pid);
    const cpuBefore = computed();
    const before = performance.now();
    const { info } = await source.ask<Outcome>({ do: "migrate", uri, setup });
    const wall = performance.now() - before;
    const cpu = computed() - cpuBefore;
    await destination.hear<Outcome>();
    const peakMemory = peakMemoryOf(destination.pid);
    return { total: info["total-time"]! / 1000, wall: wall / 1000, cpu, peakMemory };
  }

  /** Sends RAM over bare sockets. @returns How many seconds it took. */
  async measureBare(channels: number): Promise<number> {
    const { source, length } = this;
    const setup: Setup = { multifd: true, parameters: {} };
    await using destination = new Talking("ferry_destination.ts", {
      length,
      setup,
      bare: channels,
    });
    const uri = await destination.hear<string>();
    const { milliseconds } = await source.ask<BareOutcome>({ do: "bare", uri, channels });
    return milliseconds / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
  }
}
