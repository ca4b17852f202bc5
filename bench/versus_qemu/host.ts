/**
 * What the host knows of the compared processes, and making it the same for both.
 *
 * @module
 */

/** How many of the kernel's clock ticks are a second: fixed in its interface. */
const TICKS = 100;
/** How often a process is looked at that is to settle, and how much it may still grow. */
const SETTLE = { milliseconds: 150, bytes: 1024 ** 2, looks: 200 } as const;

/** How many seconds a process has computed so far, in all its threads or in one of them. */
export function cpuSeconds(pid: number, thread?: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}${thread ? `/task/${thread}` : ""}/stat`);
  // The second member is a name in parentheses, which may contain anything.
  const members = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(members[11]) + Number(members[12])) / TICKS;
}

/** How much memory a process has, in bytes. */
export function residentMemory(pid: number): number {
  return memoryOf(pid, "VmRSS");
}

/** The most it has had. */
export function peakMemoryOf(pid: number): number {
  return memoryOf(pid, "VmHWM");
}

function memoryOf(pid: number, member: string): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(new RegExp(`^${member}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024;
}

/** What a process has started and still runs, in all of its threads. */
export function childrenOf(pid: number): number[] {
  return Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`);
    return text.split(" ").filter((part) => part !== "").map(Number);
  }).flat();
}

/**
 * Waits until a process has what memory it wants. A Ferry that waits for its source provides its RAM
 * meanwhile, as a QEMU does that is told `prealloc=on`.
 */
export async function settled(pid: number): Promise<void> {
  for (let look = 0, before = -1; look < SETTLE.looks; look++) {
    const now = residentMemory(pid);
    if (Math.abs(now - before) < SETTLE.bytes) return;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, SETTLE.milliseconds));
  }
}

/**
 * Takes memory and gives it back. On a virtual machine the host may have taken free memory away, and
 * whoever touches it then waits for the host: neither side is to pay for that.
 * @param bytes How much.
 */
export async function warmUp(bytes: number): Promise<void> {
  const script = `const length = ${bytes};
    for (let at = 0; at < length; at += 2 ** 30) {
      const pages = Math.ceil(Math.min(2 ** 30, length - at) / 65536);
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      const bytes = new Uint8Array(memory.buffer);
      for (let i = 0; i < bytes.length; i += 4096) bytes[i] = 1;
      (globalThis.kept ??= []).push(memory);
    }`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", "--no-check", script] }).output();
}
