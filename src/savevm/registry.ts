/**
 * The machine's sections: who saves and loads what, under which name and in which order (wire-format
 * §1.3 and §4.6; QEMU `migration/savevm.c`, `vmstate_register_with_alias_id`, `register_savevm_live`,
 * `find_se`).
 *
 * @module
 */
import { IncompatibleError } from "../errors.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import { loadState } from "../vmstate/load_state.ts";
import { saveState } from "../vmstate/save_state.ts";
import type { VMStateFor } from "../vmstate/vmstate.ts";
import type { DeviceJson } from "../vmstate/vmsd_json.ts";

/** A name that a section had before its device got a path. */
export interface CompatName {
  /** It is only believed if it is a part of the section's name of today. */
  readonly idstr: string;
  readonly instanceId: number;
}

/** What every section has. */
export interface SectionIdentity {
  /** The name in the stream. */
  readonly idstr: string;
  /** Tells sections of the same name apart. */
  readonly instanceId: number;
  /** The version that is sent, and the newest that is accepted. */
  readonly versionId: number;
  /** The oldest version that is accepted. */
  readonly minimumVersionId: number;
  /** How elements of this machine's stream refer to the section. */
  readonly sectionId: number;
  /** Sections with a higher one come first. */
  readonly priority: number;
  /** Another instance number that streams may use. */
  readonly aliasId?: number;
  /** Another name that streams may use. */
  readonly compat?: CompatName;
}

/** A section that is sent once, as a whole. */
export interface DeviceSection extends SectionIdentity {
  readonly kind: "device";
  /** Sent while the migration is set up, with the machine running. */
  readonly early: boolean;
  /** Why no migration can start while the device is there. */
  readonly blocker?: string;
  /** Whether the section is to be sent at all. */
  needed(): boolean;
  /** Whether the migration has to wait until the guest has given the device back. */
  unplugPending(): boolean;
  /**
   * Appends the payload.
   * @returns What the JSON description says of the section.
   */
  save(writer: ByteWriter): DeviceJson;
  /** Reads the payload, up to the footer. @param versionId The version in the stream. */
  load(reader: ByteReader, versionId: number): Promise<void>;
}

/** A section that is sent in parts while the machine runs, such as `ram`. */
export interface LiveSection<L> extends SectionIdentity {
  readonly kind: "live";
  /** Who sends and receives the parts. */
  readonly handler: L;
}

/** One entry of the registry. */
export type Section<L = never> = DeviceSection | LiveSection<L>;

/** How a section can be called. */
export interface NameOptions {
  /** The instance number, or `auto` for the next that is free. @default {"auto"} */
  readonly instanceId?: number | "auto";
  /** See {@linkcode SectionIdentity.aliasId}. */
  readonly aliasId?: number;
  /** See {@linkcode SectionIdentity.compat}. */
  readonly compat?: CompatName;
}

/** How a device with a description can be called. */
export interface DeviceOptions extends NameOptions {
  /**
   * Where the device is, such as `0000:00:02.0`: the section is then called `path/name`, instance
   * numbers are chosen, and streams may use the bare name with `instanceId`.
   */
  readonly path?: string;
}

/** A device without a description: its payload is bytes that only it knows. */
export interface PlainHandler {
  readonly versionId: number;
  /** @default {0} */
  readonly minimumVersionId?: number;
  save(writer: ByteWriter): void;
  load(reader: ByteReader, versionId: number): Promise<void>;
}

/** What a live section is registered with. */
export interface LiveOptions extends NameOptions {
  readonly versionId: number;
  /** @default {versionId} */
  readonly minimumVersionId?: number;
}

/** The sections of one machine; `L` is what handles live ones. */
export class SectionRegistry<L = never> {
  readonly #sections: Section<L>[] = [];
  /**
   * Sections are counted from 1: a QEMU takes a PART with the id 0 for the first of its own sections
   * that has not begun.
   */
  #nextSectionId = 1;

  /** All sections in the order in which they are sent: by priority, then as they were registered. */
  get sections(): readonly Section<L>[] {
    return this.#sections;
  }

  /** The sections that are sent once, in order. */
  get devices(): DeviceSection[] {
    return this.#sections.filter((section) => section.kind === "device");
  }

  /** The sections that are sent in parts, in order. */
  get live(): LiveSection<L>[] {
    return this.#sections.filter((section) => section.kind === "live");
  }

  /** Why no migration can start: one sentence for each device that cannot be migrated. */
  get blockers(): string[] {
    return this.devices.flatMap(({ blocker }) => blocker === undefined ? [] : [blocker]);
  }

  /**
   * Registers a device with a description.
   * @param description What its state is.
   * @param instance The state.
   * @returns The section.
   * @throws {RangeError} If the name is taken or too long.
   */
  register<S extends object>(
    description: VMStateFor<S>,
    instance: NoInfer<S>,
    options: DeviceOptions = {},
  ): DeviceSection {
    const { unmigratable } = description;
    const identity = {
      ...this.#name(description.name, options),
      versionId: description.version,
      minimumVersionId: description.minimumVersion,
      priority: description.priority,
    };
    const reason = typeof unmigratable === "string" ? `: ${unmigratable}` : "";
    return this.#insert({
      ...identity,
      kind: "device",
      early: description.earlySetup,
      ...(unmigratable ? { blocker: `Device ${identity.idstr} cannot be migrated${reason}` } : {}),
      needed: () => description.needed(instance),
      unplugPending: () => description.devUnplugPending(instance),
      save: (writer) => ({
        name: identity.idstr,
        instance_id: identity.instanceId,
        ...saveState(writer, description, instance),
      }),
      load: (reader, versionId) => loadState(reader, description, instance, versionId),
    });
  }

  /**
   * Registers a device whose payload has no description.
   * @param idstr The section's name.
   * @returns The section.
   * @throws {RangeError} If the name is taken or too long.
   */
  registerPlain(
    idstr: string,
    handler: PlainHandler,
    options: DeviceOptions = {},
  ): DeviceSection {
    const identity = {
      ...this.#name(idstr, options),
      versionId: handler.versionId,
      minimumVersionId: handler.minimumVersionId ?? 0,
      priority: 0,
    };
    return this.#insert({
      ...identity,
      kind: "device",
      early: false,
      needed: () => true,
      unplugPending: () => false,
      save(writer) {
        const from = writer.length;
        handler.save(writer);
        const size = writer.length - from;
        return {
          name: identity.idstr,
          instance_id: identity.instanceId,
          size,
          fields: [{ name: "data", size, type: "buffer" }],
        };
      },
      load: (reader, versionId) => handler.load(reader, versionId),
    });
  }

  /**
   * Registers a section that is sent in parts.
   * @param idstr The section's name.
   * @returns The section.
   * @throws {RangeError} If the name is taken or too long.
   */
  registerLive(idstr: string, handler: L, options: LiveOptions): LiveSection<L> {
    return this.#insert({
      ...this.#name(idstr, options),
      versionId: options.versionId,
      minimumVersionId: options.minimumVersionId ?? options.versionId,
      priority: 0,
      kind: "live",
      handler,
    });
  }

  /** Forgets a section: its device is gone. */
  unregister(section: Section<L>): void {
    const at = this.#sections.indexOf(section);
    if (at >= 0) this.#sections.splice(at, 1);
  }

  /** The section that a stream means, or `undefined`. */
  find(idstr: string, instanceId: number): Section<L> | undefined {
    return this.#sections.find((section) => {
      const { aliasId, compat } = section;
      if (section.idstr === idstr) {
        if (instanceId === section.instanceId || instanceId === aliasId) return true;
      }
      return compat?.idstr === idstr && section.idstr.includes(idstr) &&
        (instanceId === compat.instanceId || instanceId === aliasId);
    });
  }

  /**
   * The section that a stream means, if it can be loaded.
   * @param header What the stream says of it.
   * @throws {IncompatibleError} If there is none, or the version is not one it knows.
   */
  accept(
    header: Pick<SectionIdentity, "idstr" | "instanceId" | "versionId">,
  ): Section<L> {
    const { idstr, instanceId, versionId } = header;
    const place = { section: `${idstr}/${instanceId}` };
    const section = this.find(idstr, instanceId);
    if (!section) {
      throw new IncompatibleError(`This machine has no section "${idstr}" instance ${instanceId}`, {
        place,
        advice: "Give this machine the same devices as the source's has, hotplugged ones included.",
      });
    }
    if (versionId > section.versionId || versionId < section.minimumVersionId) {
      throw new IncompatibleError(
        `Section ${idstr} has version ${versionId}; ` +
          `${section.minimumVersionId} to ${section.versionId} can be loaded here`,
        { place },
      );
    }
    return section;
  }

  #name(
    name: string,
    options: DeviceOptions,
  ): Pick<DeviceSection, "idstr" | "instanceId" | "sectionId" | "aliasId" | "compat"> {
    const { path, instanceId = "auto", aliasId } = options;
    const idstr = path === undefined ? name : `${path}/${name}`;
    const compat = options.compat ?? (path === undefined ? undefined : {
      idstr: name,
      instanceId: instanceId === "auto" ? this.#nextCompatInstance(name) : instanceId,
    });
    return {
      idstr,
      instanceId: path !== undefined || instanceId === "auto"
        ? this.#nextInstance(idstr)
        : instanceId,
      sectionId: this.#nextSectionId,
      ...(aliasId === undefined ? {} : { aliasId }),
      ...(compat === undefined ? {} : { compat }),
    };
  }

  #nextInstance(idstr: string): number {
    const taken = this.#sections.filter((section) => section.idstr === idstr);
    return Math.max(-1, ...taken.map(({ instanceId }) => instanceId)) + 1;
  }

  #nextCompatInstance(idstr: string): number {
    const taken = this.#sections.flatMap(({ compat }) => compat?.idstr === idstr ? [compat] : []);
    return Math.max(-1, ...taken.map(({ instanceId }) => instanceId)) + 1;
  }

  #insert<T extends Section<L>>(section: T): T {
    const { idstr, instanceId, priority } = section;
    const length = new TextEncoder().encode(idstr).length;
    if (length === 0 || length > 255) {
      throw new RangeError(`Section name "${idstr}" of ${length} bytes: 1 to 255 are possible`);
    }
    if (!Number.isInteger(instanceId) || instanceId < 0 || instanceId > 0xfffffffe) {
      throw new RangeError(
        `Section ${idstr} with instance ${instanceId}, which is no 32-bit number`,
      );
    }
    // A section that another's alias or compat name already stands for would never be found.
    if (this.find(idstr, instanceId)) {
      throw new RangeError(`There is a section "${idstr}" instance ${instanceId} already`);
    }
    this.#nextSectionId++;
    const after = this.#sections.findIndex((other) => other.priority < priority);
    this.#sections.splice(after < 0 ? this.#sections.length : after, 0, section);
    return section;
  }
}
