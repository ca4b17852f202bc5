/**
 * Tables of text.
 *
 * @module
 */

/**
 * Lays rows out in columns, indented by two spaces.
 * @param rows The first is the head.
 * @param options Which columns stand left; the others stand right.
 * @returns Lines without spaces at their ends. Control characters are escaped: names come from a stream.
 */
export function layOutTable(
  rows: readonly (readonly string[])[],
  options: { readonly left: readonly number[] },
): string[] {
  const cells = rows.map((row) => row.map(visible));
  const widths = cells[0]!.map((_, column) =>
    cells.reduce((width, row) => Math.max(width, row[column]!.length), 0)
  );
  return cells.map((row) =>
    `  ${
      row.map((cell, column) =>
        options.left.includes(column)
          ? cell.padEnd(widths[column]!)
          : cell.padStart(widths[column]!)
      ).join("  ")
    }`.trimEnd()
  );
}

/** A text that does to a terminal nothing but be read. */
export function visible(text: string): string {
  return text.replace(/\p{C}/gu, (each) => `\\u{${each.codePointAt(0)!.toString(16)}}`);
}
