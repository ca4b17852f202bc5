/**
 * Finds what would break a migration between two versions of a program, by their descriptions alone:
 * the rules of QEMU's `scripts/vmstate-static-checker.py`.
 *
 * It tolerates what keeps the bytes: names that QEMU changed (`changed_names.ts`), fields that moved
 * into a nested description or out of it, fields that became `unused` space of the same size, fields
 * that the destination has at its end, and subsections that only the destination has. It knows nothing
 * of predicates, so a finding may be harmless and a migration without findings may fail; but what it
 * finds should be looked at.
 *
 * @module
 */
import { otherSectionName, sameName } from "./changed_names.ts";
import {
  type DescriptionDump,
  type DeviceDump,
  dumpDescription,
  type FieldDump,
  type VmstateDump,
} from "./dump.ts";
import { balanceUnused, beginsWith, FieldCursor, isUnused } from "./field_cursor.ts";
import {
  type CompareOptions,
  type Comparison,
  type Finding,
  type FindingKind,
  STRICT_KINDS,
} from "./finding.ts";
import type { VMStateFor } from "./vmstate.ts";

/**
 * Compares two programs in both directions.
 * @param first The older one, by custom.
 * @param second The newer one.
 */
export function compareDumps(
  first: VmstateDump,
  second: VmstateDump,
  options: CompareOptions = {},
): Comparison {
  return {
    forward: checkDump(first, second, options),
    backward: checkDump(second, first, options),
  };
}

/**
 * Compares two descriptions in both directions, strictly: the one that is out there and the one that is
 * to be.
 *
 * @example A test that a program still understands last year's:
 * ```ts
 * const { forward } = compareDescriptions(roomOfLastYear, room);
 * assertEquals(forward.filter(({ breaks }) => breaks), []);
 * ```
 * @param first The older one, by custom.
 * @param second The newer one.
 */
export function compareDescriptions(
  first: VMStateFor<never>,
  second: VMStateFor<never>,
): Comparison {
  const [a, b] = [dumpDescription(first), dumpDescription(second)];
  const check = (source: DescriptionDump, destination: DescriptionDump) => {
    const checker = new Checker(first.name, true);
    checker.descriptions(source, destination);
    return checker.findings;
  };
  return { forward: check(a, b), backward: check(b, a) };
}

/**
 * Finds what would break a migration in one direction.
 * @param source The program that sends.
 * @param destination The program that receives.
 */
export function checkDump(
  source: VmstateDump,
  destination: VmstateDump,
  options: CompareOptions = {},
): Finding[] {
  const findings: Finding[] = [];
  if (source.machine !== destination.machine) {
    findings.push({
      kind: "machine differs",
      breaks: false,
      section: "machine",
      source: source.machine,
      destination: destination.machine,
    });
  }
  for (const [name, device] of source.devices) {
    const checker = new Checker(name, options.strict ?? false);
    const other = destination.devices.get(name) ??
      destination.devices.get(otherSectionName(name) ?? "");
    if (other) checker.devices(device, other);
    else checker.report("section missing", {});
    findings.push(...checker.findings);
  }
  return findings;
}

/** Compares what is in one section. */
class Checker {
  readonly findings: Finding[] = [];

  /** @param section The kind of device. */
  constructor(readonly section: string, readonly strict: boolean) {}

  /** Adds a finding. */
  report(kind: FindingKind, more: Omit<Finding, "kind" | "breaks" | "section">): void {
    const breaks = this.strict || !STRICT_KINDS.includes(kind);
    this.findings.push({ kind, breaks, section: this.section, ...more });
  }

  devices(source: DeviceDump, destination: DeviceDump): void {
    if (source.version_id > destination.version_id) {
      this.report("version too new", versions(source, destination));
    }
    if (!source.Description) return;
    if (destination.Description) this.descriptions(source.Description, destination.Description);
    else this.report("entry missing", { source: "Description" });
  }

  /** @param inUse The version that is loaded: the source's, but for nested descriptions. */
  descriptions(
    source: DescriptionDump,
    destination: DescriptionDump,
    inUse: number = source.version_id,
  ): void {
    const description = source.name;
    if (source.version_id > destination.version_id) {
      this.report("version too new", { description, ...versions(source, destination) });
    }
    if (source.version_id < destination.minimum_version_id) {
      this.report("version too old", {
        description,
        source: source.version_id,
        destination: destination.minimum_version_id,
      });
    }
    if (!sameName(this.section, source.name, destination.name)) {
      this.report("description differs", {
        description,
        source: source.name,
        destination: destination.name,
      });
      return;
    }
    if (source.Fields) {
      if (destination.Fields) this.#fields(source.Fields, destination.Fields, description, inUse);
      else this.report("entry missing", { description, source: "Fields" });
    }
    if (source.Subsections) {
      if (destination.Subsections) {
        this.#subsections(source.Subsections, destination.Subsections, description);
      } else this.report("entry missing", { description, source: "Subsections" });
    }
  }

  #subsections(
    sources: readonly DescriptionDump[],
    destinations: readonly DescriptionDump[],
    description: string,
  ): void {
    for (const source of sources) {
      const known = destinations.filter(({ name }) => name === source.name);
      if (known.length === 0) {
        this.report("subsection missing", { description, source: source.name });
      }
      for (const destination of known) this.descriptions(source, destination);
    }
  }

  #fields(
    sources: readonly FieldDump[],
    destinations: readonly FieldDump[],
    description: string,
    inUse: number,
  ): void {
    const from = new FieldCursor(sources);
    const to = new FieldCursor(destinations);
    let source = from.next();
    let destination = to.next();
    while (source) {
      if (!destination) {
        this.report("field missing", { description, field: source.field });
        return;
      }
      if (sameName(description, source.field, destination.field)) {
        this.#pair(source, destination, description, inUse);
      } else if (beginsWith(destination, source.field)) {
        to.enter(destination);
        destination = to.next();
        continue;
      } else if (beginsWith(source, destination.field)) {
        from.enter(source);
        source = from.next();
        continue;
      } else if (isUnused(source) || isUnused(destination)) {
        const stuck = balanceUnused(source, destination, from, to);
        if (stuck) {
          this.report("unused space differs", { description, field: stuck.field });
          return;
        }
      } else {
        this.report("field differs", {
          description,
          field: source.field,
          source: source.field,
          destination: destination.field,
        });
        return;
      }
      source = from.next();
      destination = to.next();
    }
    for (; destination; destination = to.next()) {
      if (!destination.field_exists && destination.version_id <= inUse) {
        this.report("field added", { description, field: destination.field });
      }
    }
  }

  #pair(
    source: FieldDump,
    destination: FieldDump,
    description: string,
    inUse: number,
  ): void {
    const place = { description, field: source.field };
    const conditional = source.field_exists || destination.field_exists;
    if (!conditional && source.version_id <= inUse && destination.version_id > inUse) {
      this.report("field skipped", { ...place, destination: destination.version_id });
    }
    if (source.version_id > destination.version_id) {
      this.report("version too new", { ...place, ...versions(source, destination) });
    }
    // QEMU 7.2 does not write the length down.
    if (source.num !== undefined && destination.num !== undefined) {
      if (source.num !== destination.num) {
        this.report("length differs", {
          ...place,
          source: source.num,
          destination: destination.num,
        });
      }
    }
    if (!source.Description) {
      if (source.size !== destination.size) {
        this.report("size differs", {
          ...place,
          source: source.size,
          destination: destination.size,
        });
      }
    } else if (destination.Description) {
      this.descriptions(
        source.Description,
        destination.Description,
        destination.Description.version_id,
      );
    } else this.report("description missing", { ...place, source: source.Description.name });
  }
}

function versions(
  source: { readonly version_id: number },
  destination: { readonly version_id: number },
): Pick<Finding, "source" | "destination"> {
  return { source: source.version_id, destination: destination.version_id };
}
