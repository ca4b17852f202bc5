/**
 * What saving carries from field to field.
 *
 * @module
 */
import { MigrationError } from "../errors.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import { FieldPath } from "./field_path.ts";

/** The writer and the place in the state. */
export class Saving {
  /** Where in the state it is. */
  readonly path: FieldPath = new FieldPath();

  /** @param writer Where the bytes go. */
  constructor(readonly writer: ByteWriter) {}

  /** A value of the instance that cannot be sent: a defect of the device, not of the stream. */
  rangeError(what: string): RangeError {
    return new RangeError(`${this.path} ${what}`);
  }

  /** An instance that is not what its description says. */
  typeError(what: string): TypeError {
    return new TypeError(`${this.path} ${what}`);
  }

  /** What a hook or a codec threw, with the place and as something the caller can react to. */
  failed(what: string, thrown: unknown): MigrationError {
    if (thrown instanceof MigrationError) return thrown;
    return new MigrationError(`${this.path}${what} failed: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
