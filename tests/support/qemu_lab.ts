/**
 * `qemuTest()`: a test with real QEMUs, which cleans up, says what the QEMUs said when it fails, and is
 * skipped with a reason where there are none.
 *
 * @module
 */
import { Qemu, type QemuOptions } from "./qemu.ts";
import { Ferry, type FerryOptions } from "./run_ferry.ts";
import { findQemu, type QemuTarget, type QemuVersion } from "./qemu_program.ts";

/** What a test needs. */
export interface QemuTestOptions {
  /** The releases it starts. */
  readonly needs: readonly QemuVersion[];
  /** Of which machines. @default {"x86_64"} */
  readonly target?: QemuTarget;
  /** Whether to leave the test out for another reason. @default {false} */
  readonly ignore?: boolean;
}

/** A test's QEMUs, its folder, and whatever else must be gone when it ends. */
export class QemuLab implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #resources: (Disposable | AsyncDisposable)[] = [];

  private constructor(
    /** A folder for this test alone. */
    readonly dir: string,
  ) {
    this.#stack.defer(() => Deno.remove(dir, { recursive: true }));
  }

  /** Makes a lab with an empty folder. */
  static async open(): Promise<QemuLab> {
    return new QemuLab(await Deno.makeTempDir({ prefix: "ferry-lab-" }));
  }

  /**
   * Starts a QEMU.
   * @param version Which release.
   * @param options What kind.
   * @returns It; killed when the test ends.
   */
  async qemu(version: QemuVersion, options: Omit<QemuOptions, "version"> = {}): Promise<Qemu> {
    return this.use(await Qemu.launch({ version, ...options }));
  }

  /**
   * Starts Ferry.
   * @param args Its command line.
   * @param options With what.
   * @returns It; killed when the test ends.
   */
  ferry(args: readonly string[], options: FerryOptions = {}): Ferry {
    return this.use(new Ferry(args, options));
  }

  /**
   * Disposes of something when the test ends, before what was made earlier; when the test fails, its
   * `report` is shown.
   */
  use<T extends Disposable | AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return this.#stack.use(resource);
  }

  /** A path in the lab's folder. */
  path(name: string): string {
    return `${this.dir}/${name}`;
  }

  /** The URI of a unix socket in the lab's folder. */
  unix(name = "migrate"): string {
    return `unix:${this.path(name)}`;
  }

  /** All that is disposed of with the lab, oldest first. */
  get resources(): readonly (Disposable | AsyncDisposable)[] {
    return this.#resources;
  }

  /** What every QEMU and Ferry of the lab has to say. */
  get report(): string {
    return this.#resources.flatMap((resource) => "report" in resource ? resource.report : [])
      .join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/**
 * Registers a test with real QEMUs. Where one is missing the test is skipped and says why in its name, or
 * fails when `FERRY_REQUIRE_QEMU=1`.
 * @param name What is claimed.
 * @param options What it needs.
 * @param fn The test.
 */
export function qemuTest(
  name: string,
  options: QemuTestOptions,
  fn: (lab: QemuLab) => Promise<void>,
): void {
  const missing = options.needs.map((version) => findQemu(version, options.target))
    .filter((found) => typeof found === "string");
  const reason = missing.join("; ");
  const required = Deno.env.get("FERRY_REQUIRE_QEMU") === "1";
  if (missing.length > 0 && !required) {
    Deno.test({ name: `${name} (skipped: ${reason})`, ignore: true, fn: () => {} });
    return;
  }
  Deno.test({
    name,
    ignore: options.ignore ?? false,
    fn: async () => {
      if (missing.length > 0) throw new Error(reason);
      await using lab = await QemuLab.open();
      try {
        await fn(lab);
      } catch (error) {
        if (error instanceof Error && lab.report !== "") error.message += `\n\n${lab.report}`;
        throw error;
      }
    },
  });
}
