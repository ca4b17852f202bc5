/**
 * Device state: declare it, save it, load it, compare it.
 *
 * @module
 */
export { ByteReader } from "../wire/byte_reader.ts";
export type { ByteSource } from "../wire/byte_source.ts";
export { ByteWriter } from "../wire/byte_writer.ts";
export { array, array2d, type CountOptions, nullable, subArray, varray } from "./arrays.ts";
export {
  bitmap,
  buffer,
  partialBuffer,
  type SizeOptions,
  text,
  unused,
  unusedVarray,
  vbuffer,
} from "./buffers.ts";
export {
  type EqualOptions,
  int32Equal,
  int32PositiveLe,
  uint16Equal,
  uint32Equal,
  uint64Equal,
  uint8Equal,
} from "./checked_scalars.ts";
export { type Codec, custom } from "./codec.ts";
export {
  type ArrayElement,
  type ArrayTypes,
  Element,
  Field,
  type FieldOptions,
  type FieldTypes,
  UnboundField,
} from "./field.ts";
export { checkDump, compareDescriptions, compareDumps } from "./compare.ts";
export { comparisonJson, comparisonText, findingText } from "./comparison_text.ts";
export {
  type DescriptionDump,
  type DeviceDump,
  dumpDescription,
  dumpMachine,
  dumpText,
  type FieldDump,
  parseDump,
  type VmstateDump,
} from "./dump.ts";
export type { CompareOptions, Comparison, Finding, FindingKind } from "./finding.ts";
export { gtree, gtreeDirectKey, type ListOptions, qlist, qtailq } from "./lists.ts";
export { loadState } from "./load_state.ts";
export { saveState } from "./save_state.ts";
export {
  type BigintField,
  bool,
  cpuDouble,
  float32,
  float64,
  int16,
  int32,
  int64,
  int8,
  type NumberField,
  timer,
  TIMER_NOT_ARMED,
  uint16,
  uint32,
  uint64,
  uint8,
} from "./scalars.ts";
export { struct, type TmpOptions, vstruct, withTmp } from "./structs.ts";
export { at, type FieldAt, type KeyOf, validate } from "./unbound.ts";
export {
  type DescribedDeviceJson,
  type DeviceJson,
  type FieldJson,
  jsonText,
  type JsonValue,
  type PlainDeviceJson,
  type VmDescriptionJson,
  type VmsdJson,
} from "./vmsd_json.ts";
export {
  type BoundTo,
  type Fields,
  type FieldsFor,
  type FieldsState,
  type Flat,
  type Intersection,
  MigrationPriority,
  type StateOf,
  type SubsectionsState,
  VMState,
  vmstate,
  VMStateFor,
  vmstateOf,
  type VMStateOptions,
} from "./vmstate.ts";
