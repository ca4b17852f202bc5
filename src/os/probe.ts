/**
 * What this host lets us do, found out by doing it to a page of our own: a kernel may know a call and
 * a container still forbid it. The answers are words for the user where something is not there.
 *
 * @module
 */
import { Errno, errnoName } from "./errno.ts";
import { addressOf, hostPageSize } from "./host_memory.ts";
import { libcProblem } from "./libc.ts";
import { Pagemap } from "./pagemap.ts";
import {
  closeUserfaultfd,
  copy,
  openUserfaultfd,
  register,
  UffdFeature,
  UffdMode,
  zeroPage,
} from "./userfaultfd.ts";

/** Why something is not there, in words; `undefined` if it is there. */
export type Lack = string | undefined;

/** What is missing on this host; see {@linkcode probeHost}. */
export interface HostLacks {
  /** To call the C library at all. */
  readonly ffi: Lack;
  /** To tell which pages of a memory exist (`pagemap.ts`, question `content`). */
  readonly pageContent: Lack;
  /** To learn which pages were written (`pagemap.ts`, question `written`). */
  readonly writeTracking: Lack;
  /** To provide pages when they are touched (`userfaultfd.ts`, mode `missing`). */
  readonly missingPages: Lack;
}

let known: HostLacks | undefined;

/** What this host lacks. Probed once a thread, in well under a millisecond; never throws or prompts. */
export function probeHost(): HostLacks {
  known ??= probe();
  return known;
}

function probe(): HostLacks {
  const ffi = libcProblem();
  if (ffi !== undefined) {
    return { ffi, pageContent: ffi, writeTracking: ffi, missingPages: ffi };
  }
  const pageContent = probePageContent();
  return {
    ffi,
    pageContent,
    writeTracking: pageContent ?? probeWriteTracking(),
    missingPages: probeMissingPages(),
  };
}

function probePageContent(): Lack {
  return withPagemap((pagemap, bytes, address) => {
    bytes[0] = 1;
    return lackOfOnePage("content", pagemap, address);
  });
}

function probeWriteTracking(): Lack {
  return withPagemap((pagemap, bytes, address) => {
    const uffd = openUserfaultfd({ features: UffdFeature.writeProtectAsync, userModeOnly: true });
    if (typeof uffd === "number") return userfaultfdLack(uffd);
    try {
      bytes[0] = 1;
      const registered = register(uffd.fd, address, bytes.length, UffdMode.writeProtect);
      if (registered < 0) {
        return `userfaultfd does not watch writes here (${errnoName(registered)})`;
      }
      // The first question protects; then a read must not count as a write, and a write must.
      return lackOfOnePage("written", pagemap, address) ??
        lackOfPages(0, "written", pagemap, address) ??
        (bytes[0]++, lackOfOnePage("written", pagemap, address));
    } finally {
      closeUserfaultfd(uffd.fd);
    }
  });
}

function probeMissingPages(): Lack {
  const page = hostPageSize();
  const { bytes, address } = probeMemory();
  const source = probeMemory();
  source.bytes.fill(7, 0, page);
  const uffd = openUserfaultfd();
  if (typeof uffd === "number") return userfaultfdLack(uffd);
  try {
    const registered = register(uffd.fd, address, page * 2, UffdMode.missing);
    if (registered < 0) {
      return `userfaultfd does not watch missing pages here (${errnoName(registered)})`;
    }
    const copied = copy(uffd.fd, address, source.address, page);
    if (copied !== page) return `userfaultfd does not copy pages here (${errnoName(copied)})`;
    const zeroed = zeroPage(uffd.fd, address + page, page);
    if (zeroed !== page) return `userfaultfd does not zero pages here (${errnoName(zeroed)})`;
    return bytes[page - 1] === 7 && bytes[page] === 0
      ? undefined
      : "userfaultfd copies wrongly here";
  } finally {
    closeUserfaultfd(uffd.fd);
  }
}

interface ProbeMemory {
  readonly bytes: Uint8Array;
  readonly address: number;
}

/** Two WebAssembly pages: at least two pages of any host. */
function probeMemory(): ProbeMemory {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
  return { bytes: new Uint8Array(memory.buffer), address: addressOf(memory) ?? 0 };
}

function withPagemap(
  ask: (pagemap: Pagemap, bytes: Uint8Array, address: number) => Lack,
): Lack {
  const { bytes, address } = probeMemory();
  const pagemap = Pagemap.open(16);
  if (typeof pagemap === "number") {
    return `/proc/self/pagemap does not open (${errnoName(pagemap)})`;
  }
  try {
    return ask(pagemap, bytes, address);
  } finally {
    pagemap.close();
  }
}

function lackOfOnePage(
  question: "content" | "written",
  pagemap: Pagemap,
  address: number,
): Lack {
  return lackOfPages(1, question, pagemap, address);
}

/** Expects the first page (where the kernel hands out several at a time: at least it), or nothing. */
function lackOfPages(
  expected: 0 | 1,
  question: "content" | "written",
  pagemap: Pagemap,
  address: number,
): Lack {
  const page = hostPageSize();
  const count = pagemap.find(question, address, address + 2 * page);
  if (count === -Errno.ENOTTY) return "the kernel has no PAGEMAP_SCAN (needs Linux 6.7)";
  if (count < 0) return `PAGEMAP_SCAN does not work here (${errnoName(count)})`;
  const right = count === expected &&
    (count === 0 ||
      pagemap.rangeStart(0) === address && pagemap.rangeEnd(0) >= address + page);
  return right ? undefined : `PAGEMAP_SCAN answers wrongly here (${question})`;
}

function userfaultfdLack(result: number): string {
  switch (-result) {
    case Errno.EPERM:
      return "userfaultfd is forbidden here (EPERM: a container's seccomp profile, or no privilege)";
    case Errno.ENOSYS:
      return "the kernel was built without userfaultfd";
    case Errno.EINVAL:
      return "the kernel's userfaultfd lacks what is needed (needs Linux 6.7)";
    default:
      return `userfaultfd does not open (${errnoName(result)})`;
  }
}
