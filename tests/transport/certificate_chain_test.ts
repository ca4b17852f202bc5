import { assertEquals, assertStringIncludes } from "@std/assert";
import { readCertificates } from "../../src/transport/certificate.ts";
import { chainProblem, dateProblem } from "../../src/transport/certificate_chain.ts";
import { Authority, tlsTest } from "../support/certificates.ts";

const read = (...pems: readonly string[]) => pems.flatMap(readCertificates);

tlsTest("chainProblem() finds an authority, over those in between", async (ca) => {
  const authorities = read(ca.own.certificate);
  const direct = await ca.issue("direct");
  assertEquals(chainProblem(read(direct.certificate), { authorities }), undefined);
  await using below = await ca.intermediate("below");
  await using lower = await below.intermediate("lower");
  const leaf = await lower.issue("leaf");
  const whole = [leaf.certificate, lower.own.certificate, below.own.certificate];
  assertEquals(chainProblem(read(...whole), { authorities }), undefined);
  const reordered = [whole[0]!, whole[2]!, whole[1]!];
  assertEquals(chainProblem(read(...reordered), { authorities }), undefined);
  const gap = chainProblem(read(leaf.certificate, below.own.certificate), { authorities });
  assertEquals(gap, "is of an authority that is not trusted");
  // The one below may be the one that is trusted.
  assertEquals(
    chainProblem(read(leaf.certificate), { authorities: read(lower.own.certificate) }),
    undefined,
  );
});

tlsTest("chainProblem() says what is wrong", async (ca) => {
  const authorities = read(ca.own.certificate);
  const good = await ca.issue("good");
  const untrusted = "is of an authority that is not trusted";
  assertEquals(chainProblem([], { authorities }), "is missing");
  assertEquals(chainProblem(read(good.certificate), { authorities: [] }), untrusted);

  // An authority of the same name that nobody knows.
  await using namesake = await Authority.create();
  const false1 = await namesake.issue("good");
  assertEquals(chainProblem(read(false1.certificate), { authorities }), untrusted);
  assertEquals(
    chainProblem(read(false1.certificate, namesake.own.certificate), { authorities }),
    untrusted,
  );
  // Who has a certificate is no authority yet.
  await using upstart = await Authority.create({ subject: "/C=GB/O=Ferry/CN=good" });
  const false2 = await upstart.issue("victim");
  assertEquals(
    chainProblem(read(false2.certificate, good.certificate), { authorities }),
    untrusted,
  );

  const expired = await ca.issue("expired", { days: -1 });
  assertStringIncludes(
    chainProblem(read(expired.certificate), { authorities }) ?? "",
    "has expired",
  );
  const late = Date.now() + 366 * 86_400_000;
  assertStringIncludes(
    chainProblem(read(good.certificate), { authorities }, late) ?? "",
    "expired",
  );
  const early = Date.now() - 86_400_000;
  assertStringIncludes(
    chainProblem(read(good.certificate), { authorities }, early) ?? "",
    "is not valid yet",
  );
  await using gone = await Authority.create({ days: 30 });
  const longer = await gone.issue("longer", { days: 365 });
  assertStringIncludes(
    chainProblem(
      read(longer.certificate),
      { authorities: read(gone.own.certificate) },
      Date.now() + 60 * 86_400_000,
    ) ?? "",
    "is of an authority whose certificate has expired",
  );
});

tlsTest("chainProblem() does not follow a chain for ever", async (ca) => {
  const stack = new AsyncDisposableStack();
  await using _ = stack;
  const links: string[] = [];
  let lowest: Authority = ca;
  for (let depth = 0; depth < 9; depth++) {
    lowest = stack.use(await lowest.intermediate(`link${depth}`));
    links.unshift(lowest.own.certificate);
  }
  const leaf = await lowest.issue("leaf");
  const authorities = read(ca.own.certificate);
  assertEquals(
    chainProblem(read(leaf.certificate, ...links), { authorities }),
    "is too far from an authority",
  );
});

tlsTest("dateProblem() is that of one certificate", async (ca) => {
  const young = await ca.issue("young", { days: 1 });
  assertEquals(dateProblem(read(young.certificate)[0]!.x509), undefined);
  const [own] = read(ca.own.certificate);
  assertEquals(dateProblem(own!.x509), undefined);
  assertStringIncludes(dateProblem(own!.x509, 0) ?? "", "is not valid yet");
});
