/**
 * Compares the devices of two streams, field by field where they are described and byte by byte where
 * they are not.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Analysis, WalkedSection } from "./analysis.ts";
import { deviceKey } from "./description.ts";
import { type DeviceDifference, type Difference, pairs } from "./difference.ts";
import { StateInteger, type StateStruct, type StateValue } from "./state_value.ts";

/** Fields that are listed of one device. */
const FIELDS_MAX = 64;
/** Bytes of a buffer that are shown. */
const SHOWN_MAX = 32;

/**
 * Compares all sections that are sent once.
 * @param first One side.
 * @param second The other.
 * @returns The devices that differ, in the first one's order.
 */
export function compareDevices(first: Analysis, second: Analysis): DeviceDifference[] {
  const byName = ({ sections }: Analysis) =>
    new Map(
      [...sections.values()].filter(({ live }) => !live)
        .map((each) => [deviceKey(each.idstr, each.instanceId), each]),
    );
  const differences: DeviceDifference[] = [];
  for (const { name: device, first: a, second: b } of pairs(byName(first), byName(second))) {
    if (!a || !b) {
      differences.push({ device, in: a ? "first" : "second", fields: [], count: 0 });
      continue;
    }
    const found = new Findings();
    found.add("version", String(a.versionId), String(b.versionId));
    found.values("", valueOf(a), valueOf(b));
    const { fields, count } = found;
    if (count > 0) differences.push({ device, in: "both", fields, count });
  }
  return differences;
}

function valueOf({ state, raw }: WalkedSection): StateStruct {
  return state ?? new Map(raw ? [["data", raw.bytes]] : []);
}

class Findings {
  readonly fields: Difference[] = [];
  count = 0;

  add(what: string, first: string | undefined, second: string | undefined): void {
    if (first === second) return;
    if (++this.count <= FIELDS_MAX) this.fields.push({ what, first, second });
  }

  values(path: string, first: StateValue | undefined, second: StateValue | undefined): void {
    if (first instanceof Map && second instanceof Map) {
      for (const { name, first: a, second: b } of pairs(first, second)) {
        this.values(path === "" ? name : `${path}.${name}`, a, b);
      }
    } else if (Array.isArray(first) && Array.isArray(second)) {
      for (let i = 0; i < Math.max(first.length, second.length); i++) {
        this.values(`${path}[${i}]`, first[i], second[i]);
      }
    } else if (first instanceof Uint8Array && second instanceof Uint8Array) {
      this.#bytes(path, first, second);
    } else this.add(path, shown(first), shown(second));
  }

  #bytes(path: string, first: Uint8Array, second: Uint8Array): void {
    if (Buffer.compare(first, second) === 0) return;
    if (Math.max(first.length, second.length) <= SHOWN_MAX) {
      this.add(path, shown(first), shown(second));
      return;
    }
    let at = 0;
    while (at < first.length && first[at] === second[at]) at++;
    const part = (bytes: Uint8Array) =>
      `${bytes.length} bytes, from ${at} on: ${shown(bytes.subarray(at, at + SHOWN_MAX))}`;
    this.add(path, part(first), part(second));
  }
}

/** A value as it is shown to people; structures and lists differ from anything else. */
function shown(value: StateValue | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value === null) return "nullptr";
  if (value instanceof StateInteger) return value.text;
  if (value instanceof Uint8Array) return value.toHex().replace(/..(?=.)/g, "$& ");
  if (value instanceof Map) return `a structure of ${value.size} fields`;
  if (Array.isArray(value)) return `a list of ${value.length} elements`;
  return String(value);
}
