/**
 * A small machine's whole stream in named parts, for recipes that spoil one of them. That these are the bytes a
 * source really sends is a test of its own (`stream_parts_test.ts`).
 *
 * @module
 */
import { concat } from "@std/bytes";
import { RAM_SECTION, RamFlag } from "../../src/ram/flags.ts";
import { writeBlockList } from "../../src/ram/block_list.ts";
import { GlobalState } from "../../src/savevm/global_state.ts";
import { encodeVcpuState } from "../../src/machine/vcpu_state.ts";
import { jsonText } from "../../src/vmstate/vmsd_json.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { Command, writeCommand, writePing } from "../../src/wire/command.ts";
import { writeConfiguration } from "../../src/wire/configuration.ts";
import {
  ElementType,
  writeFullSectionHeader,
  writeSectionFooter,
  writeShortSectionHeader,
} from "../../src/wire/section.ts";
import { writeStreamHeader } from "../../src/wire/stream_header.ts";
import { writeVmDescription } from "../../src/wire/vm_description.ts";

/** The machine's name. */
export const MACHINE = "victim";
/** Its RAM. Both blocks end inside a page of WebAssembly: what lies behind them is not theirs. */
export const BLOCKS = [{ name: "low", length: 3 * 4096 }, { name: "high", length: 5 * 4096 }];
/** The one page that is not zeros: the first of `high`. */
export const PAGE: Uint8Array<ArrayBuffer> = Uint8Array.from(
  { length: 4096 },
  (_, i) => i * 7 + 1,
);

const RAM_ID = 1;
const GLOBAL_STATE_ID = 2;
const VCPU_ID = 3;

/** Parts in the order of the stream. */
export type Parts = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** Makes the parts. */
export function streamParts(): Parts {
  const parts = new Map<string, Uint8Array<ArrayBuffer>>();
  const part = (name: string, write: (writer: ByteWriter) => void) => {
    const writer = new ByteWriter();
    write(writer);
    parts.set(name, writer.take());
  };
  const eos = (writer: ByteWriter) => writer.be64(RamFlag.EOS);
  const footer = (id: number) => (writer: ByteWriter) => writeSectionFooter(writer, id);
  const section = (name: string, id: number, payload: (writer: ByteWriter) => void) => {
    const type = ElementType.SECTION_FULL;
    const header = { type, sectionId: id, idstr: name, instanceId: 0, versionId: 1 };
    part(`${name} header`, (writer) => writeFullSectionHeader(writer, header));
    part(`${name} payload`, payload);
    part(`${name} footer`, footer(id));
  };

  part("header", writeStreamHeader);
  part("configuration", (writer) => writeConfiguration(writer, { machine: MACHINE }));
  part("open return path", (writer) => writeCommand(writer, Command.OPEN_RETURN_PATH));
  part("ping", (writer) => writePing(writer, 1));
  part("ram header", (writer) => {
    const type = ElementType.SECTION_START;
    writeFullSectionHeader(writer, { type, sectionId: RAM_ID, ...RAM_SECTION });
  });
  part("block list", (writer) => writeBlockList(writer, BLOCKS));
  part("ram start end", eos);
  part("ram start footer", footer(RAM_ID));
  part("ram part", (writer) => writeShortSectionHeader(writer, ElementType.SECTION_PART, RAM_ID));
  part("pages of low", (writer) => {
    writer.be64(RamFlag.ZERO).countedString("low").u8(0);
    for (const page of [1, 2]) writer.be64(page * 4096 + 0x22).u8(0);
  });
  part("page of high", (writer) => writer.be64(RamFlag.PAGE).countedString("high").bytes(PAGE));
  part("pages of high", (writer) => {
    for (const page of [1, 2, 3, 4]) writer.be64(page * 4096 + 0x22).u8(0);
  });
  part("ram part end", eos);
  part("ram part footer", footer(RAM_ID));
  part("switchover start", (writer) => writeCommand(writer, Command.SWITCHOVER_START));
  part("ram end", (writer) => writeShortSectionHeader(writer, ElementType.SECTION_END, RAM_ID));
  part("ram end end", eos);
  part("ram end footer", footer(RAM_ID));
  section(
    "globalstate",
    GLOBAL_STATE_ID,
    (writer) => new GlobalState(() => "prelaunch").save(writer),
  );
  section("vcpu", VCPU_ID, (writer) => {
    const state = encodeVcpuState(undefined);
    writer.be32(state.length).bytes(state);
  });
  part("ping loaded", (writer) => writePing(writer, 0x46));
  part("end", (writer) => writer.u8(ElementType.EOF));
  part("description", (writer) => {
    const devices = ["globalstate", "vcpu"].map((name) => {
      const size = parts.get(`${name} payload`)!.length;
      const fields = [{ name: "data", size, type: "buffer" }];
      return { name, instance_id: 0, size, fields };
    });
    const configuration = {
      ...{ vmsd_name: "configuration", version: 1 },
      fields: [
        { name: "len", type: "uint32", size: 4 },
        { name: "name", type: "buffer", size: MACHINE.length },
      ],
    };
    const json = jsonText({ configuration, page_size: 4096, devices });
    writeVmDescription(writer, new TextEncoder().encode(json));
  });
  return parts;
}

/** The whole stream. */
export function join(parts: Parts): Uint8Array<ArrayBuffer> {
  return concat([...parts.values()]);
}

/** Where a part begins. */
export function offsetOf(parts: Parts, name: string): number {
  let offset = 0;
  for (const [each, bytes] of parts) {
    if (each === name) return offset;
    offset += bytes.length;
  }
  throw new RangeError(`No part ${name}`);
}

/** The same with one part replaced. */
export function withPart(
  parts: Parts,
  name: string,
  change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
): Parts {
  const bytes = parts.get(name);
  if (!bytes) throw new RangeError(`No part ${name}`);
  return new Map(parts).set(name, change(Uint8Array.from(bytes)));
}
