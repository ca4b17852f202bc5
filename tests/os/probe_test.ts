import "../support/load_libc.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Errno } from "../../src/os/errno.ts";
import { type HostLacks, probeHost } from "../../src/os/probe.ts";

const lacks = probeHost();
/** The calls that are refused, as `refused_host.ts` wants them. */
const IOCTL = Deno.build.arch === "x86_64" ? 16 : 29;
const CALLS = {
  userfaultfd: Deno.build.arch === "x86_64" ? "323" : "282",
  UFFDIO_API: `${IOCTL}:${0xc018aa3f}`,
  UFFDIO_REGISTER: `${IOCTL}:${0xc020aa00}`,
  UFFDIO_COPY: `${IOCTL}:${0xc028aa03}`,
  UFFDIO_ZEROPAGE: `${IOCTL}:${0xc020aa04}`,
  PAGEMAP_SCAN: `${IOCTL}:${0xc0606610}`,
} as const;

/** What `refused_host.ts` prints, and what it says beside that. */
interface Finding {
  readonly lacks: Partial<HostLacks>;
  readonly description: string;
  /** How many pages of new RAM are known to be untouched, and how many a sync finds. */
  readonly untouched: number;
  readonly found: number;
  readonly stderr: string;
}

/** What another process finds, that may do less than this one. */
async function probeElsewhere(
  permissions: string[],
  refusals: string[] = [],
): Promise<Finding> {
  const script = new URL("../support/refused_host.ts", import.meta.url);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-read", ...permissions, script.href, ...refusals],
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { ...JSON.parse(text.decode(stdout)), stderr: text.decode(stderr) };
}

Deno.test("probeHost() finds nothing and asks nothing without --allow-ffi", async () => {
  const { lacks, description, stderr } = await probeElsewhere([]);
  const ffi = Deno.build.os === "linux" ? "no --allow-ffi" : `${Deno.build.os} has no userfaultfd`;
  assertEquals(lacks, { ffi, pageContent: ffi, writeTracking: ffi, missingPages: ffi });
  assertEquals(
    description,
    `hash (kernel: ${ffi}; barrier: the guest does not mark what it writes)`,
  );
  assertEquals(stderr, "");
});

Deno.test({
  name: "probeHost() takes a permission for one library as none, since pointers need all",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { lacks } = await probeElsewhere(["--allow-ffi=/lib/libc.so.6"]);
    assertEquals(lacks.writeTracking, "no --allow-ffi");
  },
});

Deno.test({
  name: "probeHost() finds everything where nothing refuses",
  ignore: lacks.writeTracking !== undefined || lacks.missingPages !== undefined,
  async fn() {
    const { lacks, description } = await probeElsewhere(["--allow-ffi"]);
    assertEquals([lacks, description], [{}, "kernel"]);
  },
});

/** What a call answers, whether it then does nothing or fails, and what is to be said to the user. */
const REFUSALS: {
  call: keyof typeof CALLS;
  answer: keyof typeof Errno | "success";
  lack: keyof HostLacks;
  words: string;
}[] = [
  {
    call: "userfaultfd",
    answer: "EPERM",
    lack: "writeTracking",
    words: "userfaultfd is forbidden here (EPERM",
  },
  {
    call: "userfaultfd",
    answer: "EPERM",
    lack: "missingPages",
    words: "userfaultfd is forbidden here (EPERM",
  },
  {
    call: "userfaultfd",
    answer: "ENOSYS",
    lack: "writeTracking",
    words: "the kernel was built without userfaultfd",
  },
  {
    call: "userfaultfd",
    answer: "EMFILE",
    lack: "missingPages",
    words: "userfaultfd does not open (EMFILE)",
  },
  { call: "UFFDIO_API", answer: "EINVAL", lack: "writeTracking", words: "(needs Linux 6.7)" },
  {
    call: "UFFDIO_REGISTER",
    answer: "EINVAL",
    lack: "writeTracking",
    words: "userfaultfd does not watch writes here (EINVAL)",
  },
  {
    call: "UFFDIO_REGISTER",
    answer: "success",
    lack: "writeTracking",
    words: "PAGEMAP_SCAN does not work here (EPERM)",
  },
  {
    call: "UFFDIO_COPY",
    answer: "EINVAL",
    lack: "missingPages",
    words: "userfaultfd does not copy pages here (EINVAL)",
  },
  {
    call: "UFFDIO_ZEROPAGE",
    answer: "EINVAL",
    lack: "missingPages",
    words: "userfaultfd does not zero pages here (EINVAL)",
  },
  {
    call: "PAGEMAP_SCAN",
    answer: "ENOTTY",
    lack: "pageContent",
    words: "the kernel has no PAGEMAP_SCAN (needs Linux 6.7)",
  },
  {
    call: "PAGEMAP_SCAN",
    answer: "ENOTTY",
    lack: "writeTracking",
    words: "the kernel has no PAGEMAP_SCAN (needs Linux 6.7)",
  },
  {
    call: "PAGEMAP_SCAN",
    answer: "success",
    lack: "writeTracking",
    words: "PAGEMAP_SCAN answers wrongly here",
  },
];

for (const { call, answer, lack, words } of REFUSALS) {
  Deno.test({
    name: `probeHost() says of ${lack} "${words}" where ${call} answers ${answer}`,
    ignore: lacks.writeTracking !== undefined || lacks.missingPages !== undefined,
    async fn() {
      const errno = answer === "success" ? 0 : Errno[answer];
      const found = await probeElsewhere(["--allow-ffi"], [`${CALLS[call]}=${errno}`]);
      assertStringIncludes(found.lacks[lack] ?? "nothing", words);
      const kind = found.lacks.writeTracking === undefined ? "kernel" : "hash";
      assertEquals(found.description.split(" ")[0], kind);
      // The log that was chosen works: of new RAM, no page is dirty, or any if nobody can tell.
      const expected = found.lacks.pageContent === undefined ? [16, 0] : [0, 16];
      assertEquals([found.untouched, found.found], expected);
    },
  });
}
