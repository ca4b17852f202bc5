/**
 * Walks the fields of a dumped description beside those of another that may nest them differently.
 *
 * @module
 */
import { sameName } from "./changed_names.ts";
import type { FieldDump } from "./dump.ts";

/** Walks fields, and those of nested descriptions where it is told to go into one. */
export class FieldCursor {
  readonly #levels: { readonly fields: readonly FieldDump[]; at: number }[];

  /** @param fields The fields of a description. */
  constructor(fields: readonly FieldDump[]) {
    this.#levels = [{ fields, at: 0 }];
  }

  /** The next field, on this level or on one around it. */
  next(): FieldDump | undefined {
    for (;;) {
      const level = this.#levels.at(-1);
      if (!level) return undefined;
      const field = level.fields[level.at++];
      if (field) return field;
      this.#levels.pop();
    }
  }

  /** The next fields are those inside `field`. */
  enter(field: FieldDump): void {
    this.#levels.push({ fields: field.Description?.Fields ?? [], at: 0 });
  }
}

/** Whether a nested description, as far as it was moved into the field, begins with a field. */
export function beginsWith(field: FieldDump, inside: string): boolean {
  const first = field.Description?.Fields?.[0];
  return first !== undefined && sameName(field.Description!.name, first.field, inside);
}

/** Whether the field is space that older versions used. */
export function isUnused({ field }: FieldDump): boolean {
  return field === "unused";
}

function totalSize({ size, num }: FieldDump): number {
  return size * (num ?? 1);
}

/**
 * Passes over the fields on one side that unused space on the other stands for.
 * @returns The field at which the sizes do not come out even.
 */
export function balanceUnused(
  source: FieldDump,
  destination: FieldDump,
  from: FieldCursor,
  to: FieldCursor,
): FieldDump | undefined {
  const hole = isUnused(destination) ? destination : source;
  const rest = hole === destination ? from : to;
  let last = hole === destination ? source : destination;
  let space = totalSize(hole) - totalSize(last);
  while (space > 0) {
    const field = rest.next();
    if (!field) break;
    last = field;
    space -= totalSize(field);
  }
  return space === 0 ? undefined : last;
}
