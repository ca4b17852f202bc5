/**
 * What `JSON.parse` can return, with the one check that callers need.
 *
 * @module
 */

/** Anything JSON can say. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
/** A JSON object. */
export type JsonObject = { [member: string]: JsonValue | undefined };

/** Whether a value is an object: not null, not an array. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses text that must be an object.
 * @param text The JSON text.
 * @returns The object.
 * @throws {SyntaxError} When it is no JSON, or no object.
 */
export function parseJsonObject(text: string): JsonObject {
  const value = JSON.parse(text) as JsonValue;
  if (!isJsonObject(value)) throw new SyntaxError(`Not a JSON object: ${text}`);
  return value;
}
