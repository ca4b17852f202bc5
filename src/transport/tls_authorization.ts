/**
 * Who is let in, by the distinguished name of the certificate: the rules of QEMU's `authz-list` and
 * `authz-list-file` (QEMU `qapi/authz.json`).
 *
 * @module
 */
import { SettingError } from "../errors.ts";

const POLICIES = ["allow", "deny"] as const;
const FORMATS = ["exact", "glob"] as const;

/** One rule. */
export interface AuthorizationRule {
  /** The name: all of it, or a pattern with `*` and `?`. */
  readonly match: string;
  readonly policy: typeof POLICIES[number];
  /** @default {"exact"} */
  readonly format?: typeof FORMATS[number];
}

/** Rules, of which the first that matches decides. */
export interface AuthorizationList {
  readonly rules: readonly AuthorizationRule[];
  /** What decides if none matches. */
  readonly policy: typeof POLICIES[number];
}

/** A list that allows one name, as QEMU's `authz-simple` does. */
export function onlyIdentity(distinguishedName: string): AuthorizationList {
  return { rules: [{ match: distinguishedName, policy: "allow" }], policy: "deny" };
}

/**
 * Reads the JSON of a file as `authz-list-file` takes it.
 * @param path Its name, for messages.
 * @throws {SettingError} If it is not of that form; nothing unknown is passed over.
 */
export function parseAuthorizationList(json: string, path: string): AuthorizationList {
  const refuse = (what: string): never => {
    throw new SettingError(`The authorization list ${path}: ${what}`, {
      advice: 'Write {"rules": [{"match": NAME, "policy": "allow"}], "policy": "deny"}',
    });
  };
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    refuse("it is not JSON");
  }
  const members = (
    from: unknown,
    of: string,
    known: readonly string[],
  ): Record<string, unknown> => {
    if (typeof from !== "object" || from === null || Array.isArray(from)) {
      return refuse(`${of} is not an object`);
    }
    const unknown = Object.keys(from).find((name) => !known.includes(name));
    if (unknown !== undefined) refuse(`${of} has the unknown member "${unknown}"`);
    return from as Record<string, unknown>;
  };
  const choice = <T extends string>(from: unknown, of: string, values: readonly T[]): T =>
    values.find((each) => each === from) ?? refuse(`${of} is not ${values.join(" or ")}`);
  const { rules = [], policy = "deny" } = members(value, "it", ["rules", "policy"]);
  if (!Array.isArray(rules)) return refuse("its rules are not an array");
  return {
    rules: rules.map((each, i) => {
      const rule = members(each, `rule ${i}`, ["match", "policy", "format"]);
      if (typeof rule.match !== "string") return refuse(`rule ${i} has no "match"`);
      return {
        match: rule.match,
        policy: choice(rule.policy, `the policy of rule ${i}`, POLICIES),
        format: choice(rule.format ?? "exact", `the format of rule ${i}`, FORMATS),
      };
    }),
    policy: choice(policy, "its policy", POLICIES),
  };
}

/** Whether a name is let in. */
export function isAuthorized(list: AuthorizationList, distinguishedName: string): boolean {
  const rule = list.rules.find(({ match, format }) =>
    format === "glob" ? matchesGlob(match, distinguishedName) : match === distinguishedName
  );
  return (rule?.policy ?? list.policy) === "allow";
}

/** In time that is bounded by the product of the lengths: the name is the peer's. */
function matchesGlob(pattern: string, text: string): boolean {
  let [at, star, resume] = [0, -1, 0];
  let i = 0;
  while (i < text.length) {
    if (pattern[at] === "*") {
      star = at++;
      resume = i;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === text[i])) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
