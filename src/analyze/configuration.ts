/**
 * Reads the configuration section (wire-format §1.4). Unlike a destination, which refuses what it does not
 * know, this passes over what the description describes.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { decodeText } from "../wire/byte_reader.ts";
import { ElementType } from "../wire/section.ts";
import type { WalkedConfiguration } from "./analysis.ts";
import { decodeState } from "./decode_state.ts";
import type { DescribedState } from "./description.ts";
import type { StreamInput } from "./input.ts";

/** A machine's name is far shorter, in bytes. */
const MACHINE_NAME_MAX = 4096;
/** QEMU knows some 25 capabilities. */
const CAPABILITIES_MAX = 256;
const PREFIX = "configuration/";

/**
 * Reads what follows the section's type byte.
 * @param described What the description says of it.
 * @throws {StreamFormatError} If it is malformed or has a subsection that nobody describes.
 */
export function readConfiguration(
  input: StreamInput,
  described: DescribedState | undefined,
): WalkedConfiguration {
  const offset = input.position;
  const length = input.be32("the machine's name");
  const name = input.take(length, MACHINE_NAME_MAX, "the machine's name");
  const configuration = {
    machine: decodeText(name, "The machine's name", offset),
    capabilities: [] as string[],
    targetPageBits: undefined as number | undefined,
    uuid: undefined as Uint8Array | undefined,
  };
  while (input.peek() === ElementType.SUBSECTION) {
    const at = input.position;
    input.at++;
    const idstr = input.countedString("a configuration subsection's name");
    input.be32("a configuration subsection's version");
    if (idstr === `${PREFIX}target-page-bits`) {
      const bits = input.be32("the target page bits");
      if (bits < 10 || bits > 16) refuse(`Target page of 2^${bits} bytes`, at);
      configuration.targetPageBits = bits;
    } else if (idstr === `${PREFIX}capabilities`) {
      const count = input.be32("the number of capabilities");
      if (count > CAPABILITIES_MAX) refuse(`${count} capabilities`, at);
      for (let i = 0; i < count; i++) {
        configuration.capabilities.push(input.countedString("a capability"));
      }
    } else if (idstr === `${PREFIX}uuid`) {
      configuration.uuid = input.take(16, 16, "the machine's UUID");
    } else {
      const subsection = described?.subsections.find((each) => each.name === idstr);
      if (!subsection) refuse(`Unknown configuration subsection "${idstr}"`, at);
      decodeState(input, subsection);
    }
  }
  return configuration;
}

function refuse(why: string, offset: number): never {
  throw new StreamFormatError(why, { place: { section: "configuration", offset } });
}
