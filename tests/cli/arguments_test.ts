import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseDemo, parseReceive, parseSend } from "../../src/cli/arguments.ts";
import { SettingError, UsageError } from "../../src/errors.ts";

Deno.test("parseSend() takes options before and after the URI, settings by QMP's names", () => {
  const args = parseSend([
    ...["-c", "multifd", "tcp:127.0.0.1:4444", "--capability", "events=off", "--guest", "beat"],
    ...["-p", "multifd-channels=4", "--parameter", "max-bandwidth=100M", "--ram", "1G", "--json"],
  ]);
  assertEquals(args.uri, "tcp:127.0.0.1:4444");
  assertEquals(args.capabilities, { multifd: true, events: false });
  assertEquals(args.parameters, { "multifd-channels": 4, "max-bandwidth": 100 * 1024 ** 2 });
  assertEquals([args.guests, args.from, args.ram], [["beat"], undefined, 1024 ** 3]);
  assertEquals([args.json, args.quiet, args.publicApi], [true, false, false]);
});

Deno.test("parseDemo() has a default for everything", () => {
  const args = parseDemo([]);
  assertEquals(args.capabilities, {});
  assertEquals(args.parameters, {});
  assertEquals([args.ram, args.dirtyRate, args.seed, args.dirtyLog], Array(4).fill(undefined));
  assertEquals(args.postcopyAfter, undefined);
});

Deno.test("parseReceive() reads where the machine goes, and for how long it runs there", () => {
  const running = parseReceive([
    "unix:/tmp/s",
    "--guest",
    "beat",
    "--guest",
    "stress",
    "--run",
    "2s",
  ]);
  assertEquals([running.guests, running.run], [["beat", "stress"], 2000]);
  const kept = parseReceive(["fd:3", "--save", "machine.img", "--format", "stream"]);
  assertEquals([kept.save, kept.discard, kept.run], ["machine.img", false, undefined]);
  const mapped = parseReceive(["fd:3", "--save", "machine.img", "--format", "mapped-ram"]);
  const plain = parseReceive(["fd:3", "--save", "machine.img"]);
  assertEquals([kept, mapped, plain].map(({ format }) => format), [
    "stream",
    "mapped-ram",
    "stream",
  ]);
  assertEquals(parseReceive(["tcp::0", "--discard"]).discard, true);
});

Deno.test("With --qmp the URI comes later", () => {
  const args = parseReceive(["--qmp", "unix:/tmp/qmp", "--discard"]);
  assertEquals([args.uri, args.qmp], [undefined, "unix:/tmp/qmp"]);
});

Deno.test("parseDemo() reads when postcopy begins", () => {
  const args = ["-c", "postcopy-ram", "--postcopy-after"];
  assertEquals(parseDemo([...args, "0"]).postcopyAfter, 0);
  assertEquals(parseDemo([...args, "1.5s"]).postcopyAfter, 1500);
});

Deno.test("Where both sides are told the same, --postcopy-after brings its capability", () => {
  assertEquals(parseDemo(["--postcopy-after", "0"]).capabilities, { "postcopy-ram": true });
  assertEquals(parseDemo([]).capabilities, {});
});

Deno.test("parseSend() reads the destination's huge pages", () => {
  const args = ["fd:3", "--from", "i", "--host-page", "/objects/ram0=2M", "--host-page", "b=64K"];
  assertEquals(parseSend(args).hostPages, { "/objects/ram0": 2 * 1024 ** 2, b: 65536 });
});

Deno.test("A postcopy that breaks: where it goes on, and that an earlier one does", () => {
  const image = ["fd:3", "--from", "i", "-c", "postcopy-ram"];
  assertEquals(parseSend([...image, "--resume"]).resume, true);
  const { resume, recover } = parseSend([...image, "--recover", "tcp:h:1"]);
  assertEquals([resume, recover], [false, "tcp:h:1"]);
  assertEquals(parseReceive(["fd:3", "--discard", "--recover", "tcp:h:1"]).recover, "tcp:h:1");
  assertEquals(parseReceive(["fd:3", "--discard"]).recover, undefined);
});

type Parse = (args: string[]) => unknown;
const REFUSED: readonly [string, Parse, string[], string][] = [
  ["no URI", parseSend, ["--guest", "beat"], "A URI is missing"],
  ["a bad URI", parseSend, ["tpc:1:2", "--guest", "beat"], "not a migration URI"],
  ["two URIs", parseSend, ["fd:3", "fd:4", "--guest", "beat"], '"fd:4" is not expected'],
  ["nothing to send", parseSend, ["fd:3"], "What is to be sent"],
  [
    "two things to send",
    parseSend,
    ["fd:3", "--guest", "beat", "--from", "i"],
    "What is to be sent",
  ],
  ["huge pages of no image", parseSend, ["fd:3", "--guest", "a", "--host-page", "r=2M"], "images"],
  ["a page of nothing", parseSend, ["fd:3", "--from", "i", "--host-page", "2M"], "BLOCK=SIZE"],
  ["a guest that goes on", parseSend, ["fd:3", "--guest", "a", "--resume"], "is for images"],
  ["an image without postcopy", parseSend, ["fd:3", "--from", "i", "--resume"], "postcopy-ram"],
  ["to go on nowhere", parseSend, ["--qmp", "q", "--from", "i", "--resume"], "needs a URI"],
  ["a bad place", parseReceive, ["fd:3", "--discard", "--recover", "x"], "not a migration URI"],
  [
    "two that mend",
    parseReceive,
    ["fd:3", "--discard", "--recover", "tcp:h:1", "--qmp", "unix:q"],
    "without --qmp",
  ],
  ["two images", parseSend, ["fd:3", "--from", "a", "--from", "b"], "--from is given twice"],
  ["no place", parseReceive, ["fd:3"], "Where is the machine to go"],
  ["two places", parseReceive, ["fd:3", "--save", "i", "--discard"], "Where is the machine to go"],
  ["no such format", parseReceive, ["fd:3", "--save", "i", "--format", "zip"], 'format "zip"'],
  ["a format of nothing", parseReceive, ["fd:3", "--discard", "--format", "stream"], "--format is"],
  ["an unknown option", parseDemo, ["--rum", "1G"], "--rum"],
  ["an operand", parseDemo, ["now"], '"now" is not expected'],
  ["no size", parseDemo, ["--ram", "lots"], '"lots" is not a size'],
  ["half a page", parseDemo, ["--ram", "5000"], "whole pages"],
  ["no RAM", parseDemo, ["--ram", "0"], "whole pages"],
  ["no number", parseDemo, ["--seed", "x"], "--seed x"],
  ["no such log", parseDemo, ["--dirty-log", "paper"], '"paper"'],
  [
    "no duration",
    parseDemo,
    ["-c", "postcopy-ram", "--postcopy-after", "soon"],
    "soon is not a duration",
  ],
  [
    "postcopy that is off",
    parseDemo,
    ["--postcopy-after", "0", "-c", "postcopy-ram=off"],
    "needs the capability",
  ],
  [
    "postcopy that the other side may not know of",
    parseSend,
    ["fd:3", "--from", "i", "--postcopy-after", "0"],
    "needs the capability",
  ],
  ["half a capability", parseDemo, ["-c", "multifd=yes"], '"multifd=yes"'],
  ["half a parameter", parseDemo, ["-p", "multifd-channels"], "not NAME=VALUE"],
  ["a value that is missing", parseDemo, ["--ram"], "--ram needs a value"],
];
for (const [what, parse, args, says] of REFUSED) {
  Deno.test(`The command line refuses ${what}: ${args.join(" ")}`, () => {
    const error = assertThrows(() => parse(args), UsageError);
    assertStringIncludes(error.message, says);
  });
}

Deno.test("The command line refuses a parameter that there is not", () => {
  assertThrows(() => parseDemo(["-p", "speed=9"]), SettingError, "speed");
});
