/**
 * The loop over a stream's elements: sections and commands, packages included (wire-format §1.2, §2, §8).
 *
 * @module
 */
import { asMigrationError, StreamFormatError } from "../errors.ts";
import { Command, describeCommand } from "../wire/command.ts";
import { ElementType } from "../wire/section.ts";
import type { Analysis, WalkedElement, WalkedSection } from "./analysis.ts";
import { decodeState, DEVICE_SIZE_MAX } from "./decode_state.ts";
import { deviceKey } from "./description.ts";
import { scanToFooter } from "./footer_scan.ts";
import type { StreamInput } from "./input.ts";
import {
  BitmapWalk,
  HashTableWalk,
  type LiveWalk,
  StorageAttributesWalk,
} from "./live_sections.ts";
import { type PageSink, RamWalk } from "./ram_walk.ts";

/** QEMU's largest machines have some thousand sections; a stream with more than this lies. */
const SECTIONS_MAX = 65_536;
/** Lines of the table of contents; later elements are walked over and not listed. */
const ELEMENTS_MAX = 65_536;
/** The most that is kept of payloads that nobody describes, all together, in bytes. */
const KEPT_MAX = 512 * 1024 * 1024;
/** Commands end with SWITCHOVER_START in 10.0. */
const LAST_COMMAND = Command.SWITCHOVER_START;

/** Live sections that describe their own lengths. */
const LIVE: Readonly<Record<string, () => LiveWalk>> = {
  "dirty-bitmap": () => new BitmapWalk(),
  "spapr/htab": () => new HashTableWalk(),
  "s390-storage_attributes": () => new StorageAttributesWalk(),
};

/** Walks over elements and writes down what they are. */
export class ElementWalk {
  /** Lines for the parts of live sections since the last other element. */
  #parts = new Map<number, WalkedElement>();
  #packaged = false;
  #kept = 0;
  #unlisted = 0;

  /**
   * @param analysis Gets what is understood.
   * @param options What is wanted beside that.
   */
  constructor(
    private readonly analysis: Analysis,
    private readonly options: { readonly keepState?: boolean; readonly sink?: PageSink },
  ) {}

  /**
   * Walks up to and including the end mark.
   * @throws {StreamFormatError} If something is no element.
   */
  elements(input: StreamInput): void {
    for (;;) {
      const offset = input.position;
      const type = input.u8("the next section's type");
      switch (type) {
        case ElementType.EOF:
          if (this.#unlisted > 0) {
            this.analysis.oddities.push(`${this.#unlisted} elements more are not listed.`);
          }
          return;
        case ElementType.SECTION_START:
        case ElementType.SECTION_FULL:
          this.#first(input, type, offset);
          break;
        case ElementType.SECTION_PART:
        case ElementType.SECTION_END:
          this.#next(input, type, offset);
          break;
        case ElementType.COMMAND:
          if (this.#command(input, offset) === "leave") return;
          break;
        default:
          throw new StreamFormatError(
            `Unknown section type 0x${type.toString(16).padStart(2, "0")}`,
            { place: { offset } },
          );
      }
    }
  }

  #first(input: StreamInput, type: number, offset: number): void {
    const { analysis } = this;
    const sectionId = input.be32("a section's id");
    const idstr = input.countedString("a section's name");
    if (idstr === "") throw new StreamFormatError("Section without a name", { place: { offset } });
    const instanceId = input.be32("a section's instance");
    const versionId = input.be32("a section's version");
    const key = deviceKey(idstr, instanceId);
    if (analysis.sections.size === SECTIONS_MAX && !analysis.sections.has(sectionId)) {
      throw new StreamFormatError(`More than ${SECTIONS_MAX} sections`, {
        place: { section: key, offset },
      });
    }
    const full = type === ElementType.SECTION_FULL;
    const section: WalkedSection = {
      ...{ idstr, instanceId, versionId, sectionId },
      ...{ live: this.#live(key, idstr, versionId, offset), state: undefined, raw: undefined },
    };
    const described = analysis.description?.devices.get(key);
    if (full && !section.live && analysis.description && !described) {
      analysis.oddities.push(`${key} was sent and is not described.`);
    }
    analysis.sections.set(sectionId, section);
    this.#load(input, section, offset, full ? "full" : "start");
  }

  #live(
    key: string,
    idstr: string,
    versionId: number,
    offset: number,
  ): RamWalk | LiveWalk | undefined {
    if (key !== "ram/0") return LIVE[idstr]?.();
    const { analysis, options } = this;
    if (versionId !== 4) {
      throw new StreamFormatError(`ram version ${versionId}: only 4 can be read`, {
        place: { section: key, offset },
      });
    }
    const capabilities = analysis.configuration?.capabilities ?? [];
    return analysis.ram ??= new RamWalk({
      pageSize: analysis.pageSize,
      ignoreShared: capabilities.includes("x-ignore-shared"),
      mappedRam: capabilities.includes("mapped-ram"),
    }, options.sink);
  }

  #next(input: StreamInput, type: number, offset: number): void {
    const sectionId = input.be32("a section's id");
    const section = this.analysis.sections.get(sectionId);
    if (!section) {
      throw new StreamFormatError(`Section ${sectionId} goes on without having begun`, {
        place: { offset },
      });
    }
    this.#load(input, section, offset, type === ElementType.SECTION_PART ? "part" : "end");
  }

  #load(
    input: StreamInput,
    section: WalkedSection,
    offset: number,
    kind: "start" | "part" | "end" | "full",
  ): void {
    const name = deviceKey(section.idstr, section.instanceId);
    try {
      this.#payload(input, section, kind);
      this.#footer(input, section, kind);
    } catch (error) {
      this.#list(kind, name, offset, input.position - offset, section);
      throw asMigrationError(error).at({ section: name, offset });
    }
    this.#list(kind, name, offset, input.position - offset, section);
  }

  #payload(input: StreamInput, section: WalkedSection, kind: string): void {
    if (section.live) return section.live.load(input);
    const { idstr, instanceId, sectionId } = section;
    const described = this.analysis.description?.devices.get(deviceKey(idstr, instanceId));
    if (described && kind === "full") {
      section.state = new Map();
      decodeState(input, described, section.state);
      return;
    }
    const isOpen = (id: number) => this.analysis.sections.has(id);
    if (!this.options.keepState || kind !== "full") {
      scanToFooter(input, sectionId, isOpen);
      return;
    }
    const offset = input.position;
    const parts: Uint8Array[] = [];
    let size = 0;
    scanToFooter(input, sectionId, isOpen, (part) => {
      size += part.length;
      if (size > DEVICE_SIZE_MAX || this.#kept + size > KEPT_MAX) {
        throw new StreamFormatError(`Device state of more than ${size} bytes is too much`);
      }
      parts.push(part.slice());
    });
    this.#kept += size;
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    section.raw = { bytes, offset };
  }

  #footer(input: StreamInput, section: WalkedSection, kind: string): void {
    const offset = input.position;
    const type = input.u8("a section's footer");
    if (type !== ElementType.SECTION_FOOTER) {
      throw new StreamFormatError(
        `Missing section footer: found 0x${type.toString(16).padStart(2, "0")}, not 0x7e`,
        {
          place: { offset },
          ...(kind === "full" && section.state
            ? { advice: "The description says that the section ends here; one of them is wrong" }
            : {}),
        },
      );
    }
    const id = input.be32("a section's footer");
    if (id !== section.sectionId) {
      throw new StreamFormatError(`Section footer with id ${id}, not ${section.sectionId}`, {
        place: { offset },
      });
    }
  }

  #command(input: StreamInput, offset: number): "continue" | "leave" {
    const command = input.be16("a command");
    const length = input.be16("a command's length");
    const name = describeCommand(command);
    if (command === Command.INVALID || command > LAST_COMMAND) {
      throw new StreamFormatError(`Unknown command ${command} of ${length} bytes`, {
        place: { offset },
      });
    }
    const payload = input.take(length, 0xffff, `the payload of ${name}`);
    const detail = commandDetail(command, payload);
    this.#list("command", name, offset, 5 + length, undefined, detail);
    const { ram } = this.analysis;
    if (command === Command.POSTCOPY_LISTEN && ram) {
      ram.postcopy = true;
      ram.forgetBlock();
    }
    if (command === Command.POSTCOPY_ADVISE) this.#advised(payload);
    if (command === Command.POSTCOPY_RUN && this.#packaged) return "leave";
    if (command === Command.PACKAGED && length === 4) this.#package(input, payload, offset);
    return "continue";
  }

  /** The `ram` section, which begins after this, has the sizes that are announced here. */
  #advised(payload: Uint8Array): void {
    if (payload.length !== 16) return;
    const sizes = new DataView(payload.buffer).getBigUint64(0);
    const { analysis } = this;
    const capabilities = analysis.configuration?.capabilities ?? [];
    analysis.ram ??= new RamWalk({
      pageSize: analysis.pageSize,
      ignoreShared: capabilities.includes("x-ignore-shared"),
      mappedRam: false,
    }, this.options.sink);
    // A block with pages of the host's size does not have it in the list.
    analysis.ram.advisedPageSizes = sizes & ~0xffffn;
  }

  #package(input: StreamInput, payload: Uint8Array, offset: number): void {
    const size = new DataView(payload.buffer).getUint32(0);
    const start = input.position;
    if (this.#packaged) {
      throw new StreamFormatError("A package inside a package", { place: { offset } });
    }
    this.#packaged = true;
    this.elements(input);
    this.#packaged = false;
    const length = input.position - start;
    if (length > size) {
      throw new StreamFormatError(`A package of ${size} bytes has elements of ${length}`, {
        place: { section: "PACKAGED", offset },
      });
    }
    input.skip(size - length, "a package");
  }

  #list(
    kind: WalkedElement["kind"],
    name: string,
    offset: number,
    size: number,
    section: WalkedSection | undefined,
    detail = "",
  ): void {
    const { elements } = this.analysis;
    const before = kind === "part" && section ? this.#parts.get(section.sectionId) : undefined;
    if (before) {
      before.size += size;
      before.count++;
      return;
    }
    if (elements.length === ELEMENTS_MAX) {
      this.#unlisted++;
      return;
    }
    const versionId = section?.versionId;
    const element = { offset, kind, name, versionId, detail, size, count: 1 };
    elements.push({ ...element, packaged: this.#packaged });
    if (kind !== "part") this.#parts = new Map();
    else if (section) this.#parts.set(section.sectionId, elements.at(-1)!);
  }
}

function commandDetail(command: number, payload: Uint8Array): string {
  const view = new DataView(payload.buffer);
  const { length } = payload;
  if (command === Command.PING && length === 4) return String(view.getUint32(0));
  if (command === Command.PACKAGED && length === 4) return `${view.getUint32(0)} bytes`;
  if (command === Command.POSTCOPY_ADVISE && length === 16) {
    return `pages of ${view.getBigUint64(8)} bytes`;
  }
  if (command === Command.POSTCOPY_RAM_DISCARD && length >= 2) {
    const name = payload.subarray(2, 2 + payload[1]!);
    const ranges = Math.floor((length - 3 - name.length) / 16);
    let bytes = 0;
    for (let i = 0; i < ranges; i++) {
      bytes += Number(view.getBigUint64(3 + name.length + 16 * i + 8));
    }
    return `${bytes} bytes of ${new TextDecoder().decode(name)} in ${ranges} ranges`;
  }
  if (command === Command.RECV_BITMAP && length > 1) {
    return new TextDecoder().decode(payload.subarray(1));
  }
  return "";
}
