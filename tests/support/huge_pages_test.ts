import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { HugePages } from "./huge_pages.ts";

const lack = HugePages.lack(4);

Deno.test("HugePages.take() says why there are none, rather than less than were wanted", () => {
  const pages = HugePages.take(2 ** 40);
  assert(typeof pages === "string");
  assertStringIncludes(pages, "huge pages");
});

Deno.test({
  name: lack === undefined ? "HugePages gives pages back" : `HugePages (skipped: ${lack})`,
  ignore: lack !== undefined,
  fn() {
    const total = () =>
      new TextDecoder().decode(
        new Deno.Command("sh", { args: ["-c", "cat /proc/sys/vm/nr_hugepages"] }).outputSync()
          .stdout,
      );
    const before = total();
    for (const count of [4, 8]) {
      using pages = HugePages.take(count) as HugePages;
      assert(pages instanceof HugePages);
      assert(Number(total()) >= count);
    }
    assertEquals(total(), before);
  },
});
