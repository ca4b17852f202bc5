// The npm package `deno-std` carries @std's code without its types. These declare what this project
// uses of it, under the names of the import map, so that `assert` narrows and `parseArgs` is typed.

declare module "@std/assert" {
  /** Something with a prototype: what `assertInstanceOf` and `assertThrows` take. */
  // deno-lint-ignore no-explicit-any -- a constructor's arguments are of no interest here
  type AnyConstructor<T = unknown> = abstract new (...args: any[]) => T;

  export class AssertionError extends Error {
    constructor(message: string, options?: ErrorOptions);
  }
  export function assert(expression: unknown, message?: string): asserts expression;
  export function assertFalse(expression: unknown, message?: string): void;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    message?: string,
  ): asserts actual is T;
  export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
  export function assertGreater<T>(actual: T, expected: T, message?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertLess<T>(actual: T, expected: T, message?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertAlmostEquals(
    actual: number,
    expected: number,
    tolerance?: number,
    message?: string,
  ): void;
  export function assertArrayIncludes<T>(
    actual: ArrayLike<T>,
    expected: ArrayLike<T>,
    message?: string,
  ): void;
  export function assertStringIncludes(actual: string, expected: string, message?: string): void;
  export function assertMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertObjectMatch(
    actual: object,
    expected: Record<PropertyKey, unknown>,
    message?: string,
  ): void;
  export function assertInstanceOf<T>(
    actual: unknown,
    expected: AnyConstructor<T>,
    message?: string,
  ): asserts actual is T;
  export function assertThrows(fn: () => unknown, message?: string): unknown;
  export function assertThrows<E extends Error>(
    fn: () => unknown,
    errorClass: AnyConstructor<E>,
    messageIncludes?: string,
    message?: string,
  ): E;
  export function assertRejects(fn: () => PromiseLike<unknown>, message?: string): Promise<unknown>;
  export function assertRejects<E extends Error>(
    fn: () => PromiseLike<unknown>,
    errorClass: AnyConstructor<E>,
    messageIncludes?: string,
    message?: string,
  ): Promise<E>;
  export function fail(message?: string): never;
  export function unreachable(reason?: string): never;
}

declare module "@std/bytes" {
  export function concat(buffers: readonly Uint8Array[]): Uint8Array<ArrayBuffer>;
  export function copy(source: Uint8Array, destination: Uint8Array, offset?: number): number;
  export function endsWith(source: Uint8Array, suffix: Uint8Array): boolean;
  export function equals(a: Uint8Array, b: Uint8Array): boolean;
  export function includesNeedle(source: Uint8Array, needle: Uint8Array, start?: number): boolean;
  export function indexOfNeedle(source: Uint8Array, needle: Uint8Array, start?: number): number;
  export function lastIndexOfNeedle(
    source: Uint8Array,
    needle: Uint8Array,
    start?: number,
  ): number;
  export function repeat(source: Uint8Array, count: number): Uint8Array<ArrayBuffer>;
  export function startsWith(source: Uint8Array, prefix: Uint8Array): boolean;
}

declare module "@std/cli" {
  export interface ParseOptions<
    Booleans extends string = never,
    Strings extends string = never,
    Collected extends string = never,
  > {
    boolean?: readonly Booleans[];
    string?: readonly Strings[];
    collect?: readonly Collected[];
    negatable?: readonly string[];
    alias?: Record<string, string | readonly string[]>;
    default?: Record<string, unknown>;
    stopEarly?: boolean;
    "--"?: boolean;
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  export type Args<Booleans extends string, Strings extends string, Collected extends string> =
    & { _: (string | number)[] }
    & { [K in Booleans]: boolean }
    & { [K in Exclude<Strings, Collected>]?: string }
    & { [K in Extract<Strings, Collected>]: string[] };
  export function parseArgs<
    const Booleans extends string = never,
    const Strings extends string = never,
    const Collected extends string = never,
  >(
    args: readonly string[],
    options?: ParseOptions<Booleans, Strings, Collected>,
  ): Args<Booleans, Strings, Collected>;
}

declare module "@std/streams" {
  /** Splits a stream of text into its lines, without their line ends. */
  export class TextLineStream extends TransformStream<string, string> {
    constructor(options?: { allowCR?: boolean });
  }
  export function toText(stream: ReadableStream<Uint8Array | string>): Promise<string>;
  export function toBytes(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>>;
  export function mergeReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
}
