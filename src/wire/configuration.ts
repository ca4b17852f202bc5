/**
 * The configuration section (wire-format §1.4; QEMU `migration/savevm.c`, `vmstate_configuration`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { type ByteReader, decodeText } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { ElementType } from "./section.ts";

/** A machine's name is a C string in QEMU; this is far above any that exists, in bytes. */
const MACHINE_NAME_MAX = 4096;
/** QEMU knows some 25 capabilities; a stream that lists more than this lies. */
const CAPABILITIES_MAX = 256;
const PREFIX = "configuration/";

/** What the stream says of the machine before anything else. */
export interface Configuration {
  /** The resolved machine type, such as `pc-i440fx-10.0`. */
  readonly machine: string;
  /** log2 of the target page size, when the sender says it. */
  readonly targetPageBits?: number;
  /** The capabilities that both sides must agree on, when the sender has any. */
  readonly capabilities?: readonly string[];
  /** 16 bytes, when the sender has `validate-uuid`. */
  readonly uuid?: Uint8Array<ArrayBuffer>;
}

/** Whether a configuration names a capability. */
export function hasCapability({ capabilities }: Configuration, name: string): boolean {
  return capabilities?.includes(name) ?? false;
}

/** The configuration with a capability named or not, as the stream has it that is written. */
export function withCapability(
  configuration: Configuration,
  name: string,
  on: boolean,
): Configuration {
  const { capabilities = [], ...rest } = configuration;
  const others = capabilities.filter((each) => each !== name);
  const named = on ? [...others, name] : others;
  return { ...rest, ...named.length > 0 && { capabilities: named } };
}

/** Writes the section with those subsections that the configuration has. */
export function writeConfiguration(writer: ByteWriter, configuration: Configuration): void {
  const name = new TextEncoder().encode(configuration.machine);
  writer.u8(ElementType.CONFIGURATION).be32(name.length).bytes(name);
  const subsection = (suffix: string) =>
    writer.u8(ElementType.SUBSECTION).countedString(PREFIX + suffix).be32(1);
  if (configuration.targetPageBits !== undefined) {
    subsection("target-page-bits").be32(configuration.targetPageBits);
  }
  if (configuration.capabilities?.length) {
    subsection("capabilities").be32(configuration.capabilities.length);
    for (const capability of configuration.capabilities) writer.countedString(capability);
  }
  if (configuration.uuid) subsection("uuid").bytes(configuration.uuid);
}

/**
 * Reads the section; its type byte must be next.
 * @throws {StreamFormatError} If it is missing, malformed or has an unknown subsection.
 */
export async function readConfiguration(reader: ByteReader): Promise<Configuration> {
  const offset = reader.position;
  const type = await reader.u8("the configuration section");
  if (type !== ElementType.CONFIGURATION) {
    throw new StreamFormatError(
      `Configuration section missing: found 0x${type.toString(16).padStart(2, "0")}, not 0x07`,
      { place: { offset } },
    );
  }
  const length = await reader.be32("the machine's name");
  const name = await reader.bytes(length, MACHINE_NAME_MAX, "the machine's name");
  let configuration: Configuration = { machine: decodeText(name, "The machine's name", offset) };
  while (await reader.peekU8() === ElementType.SUBSECTION) {
    configuration = { ...configuration, ...await readSubsection(reader) };
  }
  return configuration;
}

async function readSubsection(reader: ByteReader): Promise<Partial<Configuration>> {
  const offset = reader.position;
  await reader.u8("a configuration subsection");
  const idstr = await reader.countedString("a configuration subsection's name");
  const version = await reader.be32("a configuration subsection's version");
  if (version > 1) {
    throw new StreamFormatError(`${idstr} version ${version}: at most 1 is known`, {
      place: { offset },
    });
  }
  switch (idstr) {
    case PREFIX + "target-page-bits":
      return { targetPageBits: await readTargetPageBits(reader) };
    case PREFIX + "capabilities":
      return { capabilities: await readCapabilities(reader) };
    case PREFIX + "uuid":
      return { uuid: await reader.bytes(16, 16, "the machine's UUID") };
    default:
      throw new StreamFormatError(`Unknown configuration subsection "${idstr}"`, {
        place: { offset },
      });
  }
}

async function readTargetPageBits(reader: ByteReader): Promise<number> {
  const offset = reader.position;
  const bits = await reader.be32("the target page bits");
  // QEMU's smallest target page is 1 KiB; flags of a page record live below it. Its largest is 64 KiB.
  if (bits < 10 || bits > 16) {
    throw new StreamFormatError(`Target page of 2^${bits} bytes: 2^10 to 2^16 are possible`, {
      place: { offset },
    });
  }
  return bits;
}

async function readCapabilities(reader: ByteReader): Promise<string[]> {
  const offset = reader.position;
  const count = await reader.be32("the number of capabilities");
  if (count > CAPABILITIES_MAX) {
    throw new StreamFormatError(`${count} capabilities: at most ${CAPABILITIES_MAX} are allowed`, {
      place: { offset },
    });
  }
  const capabilities: string[] = [];
  for (let i = 0; i < count; i++) capabilities.push(await reader.countedString("a capability"));
  return capabilities;
}
