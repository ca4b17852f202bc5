/**
 * The section `globalstate`: what the machine was doing before it was stopped for the migration
 * (wire-format §4.7; QEMU `migration/global_state.c`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { RUN_STATES, type RunState } from "../machine/run_state.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import type { PlainHandler } from "./registry.ts";

/** The run state's room, NUL-padded; QEMU before 8.1 had the following 68 bytes for it as well. */
const RUN_STATE_SIZE = 32;
const RESERVED_SIZE = 66;

/** Saves and loads one machine's run state. */
export class GlobalState implements PlainHandler {
  readonly versionId = 1;
  readonly minimumVersionId = 1;
  /** What was loaded; a stream without the section means `running`. */
  loaded: RunState = "running";

  /** @param current What the machine was doing before it was stopped. */
  constructor(private readonly current: () => RunState) {}

  save(writer: ByteWriter): void {
    const name = new TextEncoder().encode(this.current());
    writer.be32(name.length + 1).bytes(name).zeros(RUN_STATE_SIZE - name.length)
      .u8(1) // it is known whether the guest was suspended,
      .u8(0) // and it was not
      .zeros(RESERVED_SIZE);
  }

  async load(reader: ByteReader): Promise<void> {
    const offset = reader.position;
    const size = await reader.be32("the run state's size");
    const bytes = await reader.bytes(
      RUN_STATE_SIZE + 2 + RESERVED_SIZE,
      RUN_STATE_SIZE + 2 + RESERVED_SIZE,
      "the run state",
    );
    const name = new TextDecoder().decode(bytes.subarray(0, Math.max(0, size - 1)));
    const state = RUN_STATES.find((each) => each === name);
    if (!state) throw new StreamFormatError(`Unknown run state "${name}"`, { place: { offset } });
    this.loaded = state;
  }
}
