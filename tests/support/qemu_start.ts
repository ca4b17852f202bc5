/**
 * Starting a QEMU: its command line, and its monitor and serial port connected to us.
 *
 * QEMU connects to sockets that we listen on already, so that nothing has to be tried until it works.
 *
 * @module
 */
import { Child } from "./child.ts";
import { withPatience } from "./event_log.ts";
import { findQemu, type QemuProgram, type QemuTarget, type QemuVersion } from "./qemu_program.ts";
import { QmpClient, QmpClosedError } from "./qmp_client.ts";
import { closeQuietly } from "./sockets.ts";
import { SerialLog } from "./serial_log.ts";
import type { SweepGuest, SweepGuestDelivery } from "./sweep_guest.ts";

/** What kind of QEMU to start. */
export interface QemuOptions {
  /** Which release. */
  readonly version: QemuVersion;
  /** Of which machines. @default {"x86_64"} */
  readonly target?: QemuTarget;
  /** Its name in error messages, such as `source`. @default {"QEMU" and the version} */
  readonly name?: string;
  /** The machine type with its options. @default {COMMON_MACHINE} */
  readonly machine?: string;
  /** RAM size as `-m` takes it. @default {up to the end of the guest's range, at least 16 MiB} */
  readonly ram?: string;
  /** What runs on it. @default {nothing but the firmware} */
  readonly guest?: SweepGuest;
  /** How the guest gets there. @default {"floppy"} */
  readonly delivery?: SweepGuestDelivery;
  /** Where to wait for a migration, or `defer`. */
  readonly incoming?: string;
  /** Whether the machine stays stopped. @default {false} */
  readonly paused?: boolean;
  /** Properties of QEMU's `migration` object, such as `send-switchover-start`. */
  readonly migration?: Readonly<Record<string, string>>;
  /** More arguments. */
  readonly args?: readonly string[];
  /** What it inherits (`ChildOptions`). */
  readonly descriptors?: Readonly<Record<number, string>>;
}

/** A QEMU that has just started. */
export interface StartedQemu {
  readonly child: Child;
  /** The program and its arguments. */
  readonly commandLine: readonly string[];
  readonly qmp: QmpClient;
  /** `undefined` for a machine without a serial port. */
  readonly serial: SerialLog | undefined;
}

/** QEMU did not start, or ended although nobody asked it to. */
export class QemuExitedError extends Error {
  override readonly name = "QemuExitedError";
}

/** The machine that both releases have, with the same devices and the same dialect. */
export const COMMON_MACHINE = "pc-i440fx-7.2";

const MIB = 1024 ** 2;

/**
 * Starts a QEMU.
 * @param options What kind.
 * @param dir An empty folder for its sockets and images.
 * @returns It, with its monitor past the negotiation; the caller kills it.
 * @throws {QemuExitedError} When it does not come up, with what it wrote to stderr.
 */
export async function startQemu(options: QemuOptions, dir: string): Promise<StartedQemu> {
  const program = findQemu(options.version, options.target);
  if (typeof program === "string") throw new QemuExitedError(program);
  const args = await argumentsOf(options, program, dir);
  using qmpListener = Deno.listen({ transport: "unix", path: `${dir}/qmp` });
  using serialListener = Deno.listen({ transport: "unix", path: `${dir}/serial` });
  const { descriptors = {} } = options;
  const child = new Child(program.path, args, { descriptors });
  const gone = child.exited.then(({ code, stderr }): never => {
    throw new QemuExitedError(`${program.banner} ended with status ${code}: ${stderr.trim()}`);
  });
  gone.catch(() => {}); // who races with it hears of it
  const accepted: Deno.Conn[] = [];
  const accept = async (listener: Deno.Listener) => {
    const connection = await listener.accept();
    accepted.push(connection);
    return connection;
  };
  const connected = Promise.all([
    accept(qmpListener),
    hasSerial(options) ? accept(serialListener) : undefined,
  ]);
  connected.catch(() => {}); // when QEMU is gone, closing the listeners ends it
  try {
    const [monitor, port] = await withPatience(
      Promise.race([connected, gone]),
      `${program.path} to connect its monitor`,
    );
    const qmp = await QmpClient.over(monitor).catch(async (error) => {
      if (error instanceof QmpClosedError) await gone;
      throw error;
    });
    const serial = port && new SerialLog(port);
    return { child, commandLine: [program.path, ...args], qmp, serial };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    accepted.forEach(closeQuietly);
    throw error;
  }
}

function hasSerial(options: QemuOptions): boolean {
  return options.machine !== "none";
}

async function argumentsOf(
  options: QemuOptions,
  program: QemuProgram,
  dir: string,
): Promise<string[]> {
  const { machine = COMMON_MACHINE, guest, incoming } = options;
  const end = guest ? guest.end : 0;
  const ram = options.ram ?? `${Math.max(16, Math.ceil(end / MIB))}M`;
  const globals = Object.entries({ "x-events": "on", ...options.migration });
  return [
    ...program.dataArgs,
    ...["-machine", machine, "-accel", "tcg", "-display", "none", "-nodefaults"],
    ...["-qmp", `unix:${dir}/qmp`],
    ...(machine === "none" ? [] : ["-m", ram]),
    ...(hasSerial(options) ? ["-serial", `unix:${dir}/serial`] : []),
    ...(guest ? await guestArguments(guest, options.delivery ?? "floppy", dir) : []),
    ...globals.flatMap(([name, value]) => ["-global", `migration.${name}=${value}`]),
    ...(incoming === undefined ? [] : ["-incoming", incoming]),
    ...(options.paused ? ["-S"] : []),
    ...(options.args ?? []),
  ];
}

async function guestArguments(
  guest: SweepGuest,
  delivery: SweepGuestDelivery,
  dir: string,
): Promise<string[]> {
  const path = `${dir}/guest-${delivery}`;
  await Deno.writeFile(path, guest.image(delivery));
  return delivery === "floppy"
    ? ["-drive", `if=floppy,format=raw,readonly=on,file=${path}`]
    : ["-bios", path];
}
