/**
 * The description of a stream's configuration section, without which QEMU's script cannot take its
 * subsections apart (wire-format §1.7; QEMU `migration/savevm.c`, `qemu_savevm_state_header`).
 *
 * @module
 */
import type { FieldJson, VmsdJson } from "../vmstate/vmsd_json.ts";
import type { Configuration } from "../wire/configuration.ts";

const sizeOf = (text: string) => new TextEncoder().encode(text).length;

/** Describes what `writeConfiguration()` has written. */
export function configurationJson(configuration: Configuration): VmsdJson {
  const { machine, targetPageBits, capabilities = [], uuid } = configuration;
  const subsections: VmsdJson[] = [];
  const subsection = (suffix: string, ...fields: FieldJson[]) =>
    void subsections.push({ vmsd_name: `configuration/${suffix}`, version: 1, fields });
  if (targetPageBits !== undefined) {
    subsection("target-page-bits", { name: "target_page_bits", type: "uint32", size: 4 });
  }
  if (capabilities.length > 0) {
    subsection(
      "capabilities",
      { name: "caps_count", type: "uint32", size: 4 },
      ...capabilities.map((capability, index) => ({
        name: "capabilities",
        // The last element of QEMU's arrays says nothing of its place.
        ...index < capabilities.length - 1 && { index },
        ...{ type: "capability", size: 1 + sizeOf(capability) },
      })),
    );
  }
  if (uuid) subsection("uuid", { name: "uuid.data", array_len: 16, type: "uint8", size: 1 });
  return {
    ...{ vmsd_name: "configuration", version: 1 },
    fields: [
      { name: "len", type: "uint32", size: 4 },
      { name: "name", type: "buffer", size: sizeOf(machine) },
    ],
    ...subsections.length > 0 && { subsections },
  };
}
