/**
 * How an error crosses threads. A structured clone forgets which class an error is of, and the class is
 * what a caller reacts to, so it travels by name beside the words.
 *
 * @module
 */
import * as errors from "../errors.ts";
import { type FailurePlace, MigrationError, type MigrationErrorOptions } from "../errors.ts";

/** An error as it is posted. */
export interface PostedError {
  /** The class's name. */
  readonly type: string;
  /** Its message, of one of ours without the place. */
  readonly what: string;
  /** Where it happened. */
  readonly place?: FailurePlace;
  /** What to try. */
  readonly advice?: string;
  /** Where it was thrown. */
  readonly stack?: string;
  /** What was thrown before. */
  readonly cause?: PostedError;
}

type ErrorClass = new (what: string, options?: MigrationErrorOptions) => MigrationError;

const CLASSES = new Map<string, ErrorClass>(
  Object.values<unknown>(errors).filter(isErrorClass).map((type) => [type.name, type]),
);

/** How many causes of causes travel. */
const CAUSES_MAX = 8;

/**
 * Makes what was caught fit to be posted.
 * @param thrown Anything.
 */
export function toPostedError(thrown: unknown, depth = 0): PostedError {
  if (!(thrown instanceof Error)) return { type: "Error", what: String(thrown) };
  const ours = thrown instanceof MigrationError;
  return {
    type: thrown.name,
    what: ours ? thrown.what : thrown.message,
    ...(ours && { place: thrown.place }),
    ...(ours && thrown.advice !== undefined && { advice: thrown.advice }),
    ...(thrown.stack !== undefined && { stack: thrown.stack }),
    ...(thrown.cause !== undefined && depth < CAUSES_MAX && {
      cause: toPostedError(thrown.cause, depth + 1),
    }),
  };
}

/**
 * The error again: of its own class if that is one of `errors.ts`, otherwise an `Error` of its name.
 * @param posted What the other thread posted.
 */
export function fromPostedError(posted: PostedError): Error {
  const { type, what, place, advice, stack } = posted;
  const cause = posted.cause && fromPostedError(posted.cause);
  const ErrorType = CLASSES.get(type);
  const error = ErrorType
    ? new ErrorType(what, {
      ...(place && { place }),
      ...(advice !== undefined && { advice }),
      ...(cause && { cause }),
    })
    : Object.assign(new Error(what, cause && { cause }), { name: type });
  if (stack !== undefined) error.stack = stack;
  return error;
}

function isErrorClass(value: unknown): value is ErrorClass {
  return value === MigrationError ||
    (typeof value === "function" && value.prototype instanceof MigrationError);
}
