import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { LoadContext, loadStream, type LoadTarget, sectionName } from "../../src/savevm/load.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { Command, describeCommand } from "../../src/wire/command.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";
import { fromHex, text } from "../wire/vectors.ts";

/** A target that writes down what it is told; payloads are as long as the version says. */
function recorder(leaveAt?: Command): { target: LoadTarget; log: string[] } {
  const log: string[] = [];
  return {
    log,
    target: {
      configuration: ({ machine }) => void log.push(`machine ${machine}`),
      section: (header) => ({
        async load(reader, part) {
          const payload = await reader.bytes(header.versionId, 100, "payload");
          log.push(`${sectionName(header)} ${part} ${payload.toHex()}`);
        },
      }),
      command: ({ command }) => {
        log.push(describeCommand(command));
        return Promise.resolve(command === leaveAt ? "leave" : "continue");
      },
    },
  };
}

const HEADER = `5145564d 00000003 07 00000002 ${text("pc")}`;
const START = `01 00000001 03 ${text("ram")} 00000000 00000002 aabb 7e 00000001`;
const PART = "02 00000001 ccdd 7e 00000001";
const END = "03 00000001 eeff 7e 00000001";
const FULL = `04 00000007 05 ${text("timer")} 00000002 00000001 11 7e 00000007`;
const PING = "08 0002 0004 00000001";
const STREAM = `${HEADER} ${START} ${PING} ${PART} ${PART} ${END} ${FULL} 00`;
const LOG = [
  "machine pc",
  "ram/0 start aabb",
  "PING",
  "ram/0 part ccdd",
  "ram/0 part ccdd",
  "ram/0 end eeff",
  "timer/2 full 11",
];

Deno.test("loadStream() loads elements in their order, however they arrive", async () => {
  const bytes = fromHex(STREAM);
  for (const reader of [byteByByte(bytes), ...[...everySplit(bytes)].map((each) => each.reader)]) {
    const { target, log } = recorder();
    const { end, context } = await loadStream(reader, target);
    assertEquals([end, reader.position], ["eof", bytes.length]);
    assertEquals(log, LOG);
    assertEquals([1, 7, 2].map((id) => context.isOpen(id)), [true, true, false]);
  }
});

Deno.test("loadStream() takes every shorter stream for a lost connection", async () => {
  const bytes = fromHex(STREAM);
  for (let length = 0; length < bytes.length; length++) {
    const { target } = recorder();
    await assertRejects(
      () => loadStream(ByteReader.of(bytes.subarray(0, length)), target),
      ConnectionLostError,
      "The stream ended inside",
      `after ${length} bytes`,
    );
  }
});

Deno.test("A command can leave the loop, and the loop can be entered again", async () => {
  const { target, log } = recorder(Command.POSTCOPY_RUN);
  const reader = ByteReader.of(fromHex(`${HEADER} ${START} 08 0005 0000 ${PART} 00`));
  const { context, end } = await loadStream(reader, target);
  assertEquals(end, "leave");
  assertEquals(await context.loadElements(reader), "eof");
  assertEquals(log.slice(1), ["ram/0 start aabb", "POSTCOPY_RUN", "ram/0 part ccdd"]);
});

Deno.test("PART and END keep the section and version of their START", async () => {
  const { target, log } = recorder();
  const other = `01 00000002 05 ${text("other")} 00000000 00000001 99 7e 00000002`;
  const hex = `${START} ${other} 02 00000002 55 7e 00000002 ${PART} 00`;
  await new LoadContext(target).loadElements(ByteReader.of(fromHex(hex)));
  assertEquals(log, ["ram/0 start aabb", "other/0 start 99", "other/0 part 55", "ram/0 part ccdd"]);
});

/** What is refused: after the header, why, where, and in which section. */
const REFUSED: readonly (readonly [string, string, number, string | undefined])[] = [
  [`${PING} 05`, "Unknown section type 0x05", 24, undefined],
  ["06 00000000", "Unknown section type 0x06", 15, undefined],
  ["7e 00000001", "Unknown section type 0x7e", 15, undefined],
  ["ff", "Unknown section type 0xff", 15, undefined],
  ["02 00000000", "Section 0 goes on without having begun", 15, undefined],
  [`${START} 02 00000002`, "Section 2 goes on", 39, undefined],
  [START.replace("7e 00000001", "00"), "found 0x00, not 0x7e", 34, "ram/0"],
  [START.replace("7e 00000001", "7e 00000002"), "footer with id 2, not 1", 34, "ram/0"],
  [`${START} ${PART.replace("7e 00000001", "7e 00000000")}`, "footer with id 0", 46, "ram/0"],
  [`01 00000001 00`, "Section without a name", 15, undefined],
  ["08 0000 0000", "Unknown command 0", 15, undefined],
  ["08 0002 0005 0000000000", "PING with 5 bytes", 15, undefined],
];

for (const [hex, message, offset, section] of REFUSED) {
  Deno.test(`loadStream() refuses: ${message}`, async () => {
    const bytes = fromHex(`${HEADER} ${hex}`);
    for (const reader of [ByteReader.of(bytes), byteByByte(bytes)]) {
      const error = await assertRejects(
        () => loadStream(reader, recorder().target),
        StreamFormatError,
        message,
      );
      assertEquals([error.place.offset, error.place.section], [offset, section]);
    }
  });
}

Deno.test("What a target throws gets the section and the offset of its beginning", async () => {
  const { target } = recorder();
  const load = (hex: string, changes: Partial<LoadTarget>) =>
    assertRejects(
      () => loadStream(ByteReader.of(fromHex(`${HEADER} ${hex}`)), { ...target, ...changes }),
      Error,
    );
  const wrong = new IncompatibleError("No such section");
  await load(FULL, {
    section: () => {
      throw wrong;
    },
  });
  assertEquals(wrong.place, { section: "timer/2", offset: 15 });

  const inside = new StreamFormatError("Bad byte", { place: { offset: 32 } });
  await load(FULL, { section: () => ({ load: () => Promise.reject(inside) }) });
  assertEquals(inside.place, { section: "timer/2", offset: 32 });

  const command = new StreamFormatError("Not now");
  await load(PING, { command: () => Promise.reject(command) });
  assertEquals(command.place, { section: "PING", offset: 15 });
});

Deno.test("A target's configuration is waited for before the first element", async () => {
  const { target, log } = recorder();
  await loadStream(ByteReader.of(fromHex(STREAM)), {
    ...target,
    configuration: async () => {
      await new Promise((resolve) => setTimeout(resolve));
      log.push("machine known");
    },
  });
  assertEquals(log[0], "machine known");
});

Deno.test("A stream cannot open sections without end", async () => {
  const { target } = recorder();
  const one = (id: number) =>
    `04 ${id.toString(16).padStart(8, "0")} 01 ${text("a")} 00000000 00000000 ` +
    `7e ${id.toString(16).padStart(8, "0")}`;
  const hex = Array.from({ length: 70_000 }, (_, id) => one(id)).join("");
  await assertRejects(
    () => new LoadContext(target).loadElements(ByteReader.of(fromHex(hex))),
    StreamFormatError,
    "More than 65536 sections",
  );
});
