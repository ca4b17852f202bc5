/**
 * What the JSON description at a stream's end says of the sections' sizes (wire-format §1.7): it confirms
 * where sections that we do not understand end.
 *
 * @module
 */

/** A section's name and payload size, as the description has it. */
export interface DescribedSize {
  readonly idstr: string;
  readonly instanceId: number;
  /** In bytes, without header and footer. */
  readonly size: number;
}

/**
 * The sizes of all sections that were sent once, in the stream's order.
 * @param description The description's text.
 * @returns `undefined` if the text is no description: it decides nothing then.
 */
export function describedSizes(description: Uint8Array): DescribedSize[] | undefined {
  try {
    const { devices } = JSON.parse(new TextDecoder().decode(description));
    if (!Array.isArray(devices)) return undefined;
    const sizes = devices.map((device) => ({
      idstr: String(device.name),
      instanceId: Number(device.instance_id),
      size: sizeOf(device),
    }));
    return sizes.every(({ size }) => Number.isSafeInteger(size) && size >= 0) ? sizes : undefined;
  } catch {
    return undefined; // no JSON, or nested so deeply that no QEMU wrote it
  }
}

interface Described {
  readonly fields?: readonly { readonly size?: number; readonly array_len?: number }[];
  readonly subsections?: readonly (Described & { readonly vmsd_name: string })[];
}

/** Fields, and subsections with their type byte, counted name and version. */
function sizeOf(described: Described): number {
  let size = 0;
  for (const { size: each = 0, array_len: count = 1 } of described.fields ?? []) {
    if (!Number.isSafeInteger(each) || !Number.isSafeInteger(count)) return NaN;
    size += each * count;
  }
  for (const subsection of described.subsections ?? []) {
    const name = new TextEncoder().encode(subsection.vmsd_name);
    size += 1 + 1 + name.length + 4 + sizeOf(subsection);
  }
  return size;
}
