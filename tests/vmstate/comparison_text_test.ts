import { assertEquals } from "@std/assert";
import { compareDescriptions } from "../../src/vmstate/compare.ts";
import { comparisonJson, comparisonText, findingText } from "../../src/vmstate/comparison_text.ts";
import type { Finding, FindingKind } from "../../src/vmstate/finding.ts";
import { uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { vmstate } from "../../src/vmstate/vmstate.ts";

const before = vmstate("room", { fields: { a: uint32() } });
const after = vmstate("room", { version: 2, fields: { a: uint8(), b: uint8({ since: 2 }) } });
const comparison = compareDescriptions(before, after);

Deno.test("comparisonText() says for each direction what breaks", () => {
  assertEquals(
    comparisonText(comparison, { first: "last year", second: "this year" }),
    `last year to this year: 1 breaks
  breaks: room, a: 4 bytes are sent, and the destination expects 1
this year to last year: 3 breaks
  breaks: room: version 2 is sent, and the destination knows 1
  breaks: room, a: 1 bytes are sent, and the destination expects 4
  breaks: room, b: the destination has no further fields
`,
  );
  assertEquals(
    comparisonText(compareDescriptions(before, before)),
    "old to new: nothing breaks\nnew to old: nothing breaks\n",
  );
});

Deno.test("comparisonText() says what is only worth knowing", () => {
  const note: Finding = {
    kind: "machine differs",
    breaks: false,
    section: "machine",
    source: "pc-7.2",
    destination: "pc-10.0",
  };
  assertEquals(
    comparisonText({ forward: [note], backward: [] }).split("\n").slice(0, 2),
    [
      "old to new: nothing breaks",
      "  note: machine: the source is a pc-7.2, the destination a pc-10.0",
    ],
  );
});

Deno.test("comparisonJson() has the verdict, the findings and their text", () => {
  const json = JSON.parse(comparisonJson(comparison));
  assertEquals(json.forward, {
    compatible: false,
    findings: [{
      kind: "size differs",
      breaks: true,
      section: "room",
      description: "room",
      field: "a",
      source: 4,
      destination: 1,
      text: "room, a: 4 bytes are sent, and the destination expects 1",
    }],
  });
  assertEquals(json.backward.findings.length, 3);
});

Deno.test("findingText() has a sentence for every kind", () => {
  const kinds: Record<FindingKind, true> = {
    "section missing": true,
    "entry missing": true,
    "version too new": true,
    "version too old": true,
    "description differs": true,
    "description missing": true,
    "field differs": true,
    "field missing": true,
    "size differs": true,
    "unused space differs": true,
    "subsection missing": true,
    "machine differs": true,
    "length differs": true,
    "field added": true,
    "field skipped": true,
  };
  const texts = Object.keys(kinds).map((kind) =>
    findingText({
      kind: kind as FindingKind,
      breaks: true,
      section: "s",
      description: "d",
      field: "f",
      source: "x",
      destination: "y",
    })
  );
  assertEquals(texts.every((text) => /^s, d, f: \S.+[^.]$/.test(text)), true);
  assertEquals(new Set(texts).size, texts.length);
});
