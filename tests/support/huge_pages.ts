/**
 * Huge pages of 2 MiB for QEMUs: those that are free, and as many more as this host gives.
 *
 * @module
 */
const FREE = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
const TOTAL = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

/** Huge pages that a test may use; those that were not there before are given back. */
export class HugePages implements Disposable {
  private constructor(private readonly added: number) {}

  /**
   * Sees to it that so many are free.
   * @returns Them, or why there are not so many.
   */
  static take(count: number): HugePages | string {
    const free = read(FREE);
    if (free === undefined) return "this kernel has no huge pages of 2 MiB";
    const added = Math.max(0, count - free);
    const pages = new HugePages(added);
    if (added === 0) return pages;
    write(read(TOTAL)! + added);
    const now = read(FREE)!;
    if (now >= count) return pages;
    pages[Symbol.dispose]();
    return `${now} huge pages of ${count} are free, and this host gives no more: see vm.nr_hugepages`;
  }

  /** Why there are not so many, if there are not. */
  static lack(count: number): string | undefined {
    const pages = HugePages.take(count);
    if (typeof pages === "string") return pages;
    pages[Symbol.dispose]();
    return undefined;
  }

  [Symbol.dispose](): void {
    if (this.added > 0) write(Math.max(0, read(TOTAL)! - this.added));
  }
}

// Other programs look and write: Deno itself does neither there without all permissions.

function read(path: string): number | undefined {
  const { success, stdout } = new Deno.Command("cat", { args: [path], stderr: "null" })
    .outputSync();
  return success ? Number(new TextDecoder().decode(stdout)) : undefined;
}

function write(count: number): void {
  const args = ["-c", `echo ${count} > ${TOTAL}`];
  new Deno.Command("sh", { args, stderr: "null" }).outputSync();
}
