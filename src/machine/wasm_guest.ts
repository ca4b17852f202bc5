/**
 * A guest that is a WebAssembly reactor: it works on the machine's first block, which it imports as
 * `env.memory`, and exports `step()`.
 *
 * - `step()` may return a number: for how many milliseconds there is nothing to do.
 * - `_initialize()`, if there is one, is called once, on vCPU 0 of a machine that was never started.
 * - Exported mutable globals are saved and loaded by name. Other state outside of RAM does not travel: a
 *   mutable global that is not exported must have its first value again between two steps, as a stack
 *   pointer has.
 * - `ferry.mark(address, length)` and `ferry.ensure(address, length)` can be imported (see
 *   `GuestContext.markWritten` and `ensurePresent`), and `ferry.index()` and `ferry.vcpus()`.
 *
 * ```text
 * state   u16 globals, and for each: u8 length of its name, name, u8 kind (0 number, 1 bigint),
 *         its value as float64 or int64
 * ```
 *
 * @module
 */
import { GuestError, IncompatibleError } from "../errors.ts";
import type { Guest, GuestContext } from "./guest.ts";
import type { GuestChecks } from "./guest_checks.ts";
import type { GuestRam } from "./guest_ram.ts";
import { checkImports } from "./guests/part.ts";
import { withoutInitializers } from "./wasm_module.ts";

const NAME_MAX = 255;

/** A reactor whose code is compiled. */
export class WasmProgram {
  readonly #fresh: WebAssembly.Module;
  readonly #resumed: WebAssembly.Module;

  private constructor(fresh: WebAssembly.Module, resumed: WebAssembly.Module) {
    this.#fresh = fresh;
    this.#resumed = resumed;
  }

  /**
   * Compiles a reactor.
   * @param bytes The module.
   * @throws {GuestError} If it imports what there is not, or does not export `step`.
   * @throws {WebAssembly.CompileError} If it is no module.
   */
  static async compile(bytes: Uint8Array<ArrayBuffer>): Promise<WasmProgram> {
    const fresh = await WebAssembly.compile(bytes);
    const known = ["env.memory", "ferry.mark", "ferry.ensure", "ferry.index", "ferry.vcpus"];
    for (const { module, name } of WebAssembly.Module.imports(fresh)) {
      if (known.includes(`${module}.${name}`)) continue;
      throw new GuestError(`The guest's module imports ${module}.${name}`, {
        advice: `It can import ${known.join(", ")}`,
      });
    }
    const hasStep = WebAssembly.Module.exports(fresh)
      .some(({ name, kind }) => name === "step" && kind === "function");
    if (!hasStep) throw new GuestError("The guest's module exports no function step");
    return new WasmProgram(fresh, await WebAssembly.compile(withoutInitializers(bytes)));
  }

  /**
   * Makes the guest.
   * @param ram The machine's RAM; the guest gets the first segment of its first block.
   * @throws {GuestError} If that is not at the start of a memory, or not as the module declares it.
   */
  open(ram: GuestRam, checks: GuestChecks, context: GuestContext): Guest {
    const block = ram.blocks[0];
    const segment = block?.segments[0];
    if (!segment || segment.base !== 0) {
      throw new GuestError("The machine's first RAM block does not begin a memory");
    }
    // Of a machine's first start, vCPU 0 sets up RAM for all of them.
    const first = !context.resumed && context.index === 0;
    const exports = instantiate(first ? this.#fresh : this.#resumed, {
      env: { memory: segment.memory },
      ferry: {
        ...checkImports(block, segment, checks),
        index: () => context.index,
        vcpus: () => context.vcpus,
      },
    });
    const step = exports.step as () => number | void;
    if (first) {
      (exports._initialize as (() => void) | undefined)?.();
      checks.mark(block, 0, block.length);
    }
    const globals = mutableGlobals(exports);
    return {
      step,
      save: () => saveGlobals(globals),
      load: (state) => loadGlobals(globals, state),
    };
  }
}

function instantiate(module: WebAssembly.Module, imports: WebAssembly.Imports) {
  try {
    return new WebAssembly.Instance(module, imports).exports;
  } catch (cause) {
    if (!(cause instanceof WebAssembly.LinkError)) throw cause;
    throw new GuestError(cause.message, {
      cause,
      advice: "Declare env.memory as shared, with no more initial and no fewer maximum pages",
    });
  }
}

function mutableGlobals(exports: WebAssembly.Exports): Map<string, WebAssembly.Global> {
  const globals = new Map<string, WebAssembly.Global>();
  for (const [name, global] of Object.entries(exports)) {
    if (!(global instanceof WebAssembly.Global) || !isMutable(global)) continue;
    const type = typeof global.value;
    if (type !== "number" && type !== "bigint") {
      throw new GuestError(`The guest's global ${name} cannot travel: it holds a reference`);
    }
    if (new TextEncoder().encode(name).length > NAME_MAX) {
      throw new GuestError(`The guest's global ${name} has a name of over ${NAME_MAX} bytes`);
    }
    globals.set(name, global);
  }
  return globals;
}

/** Only trying tells. One that cannot even be read is a vector, which JavaScript cannot hold. */
function isMutable(global: WebAssembly.Global): boolean {
  const { value } = global;
  try {
    global.value = value;
    return true;
  } catch {
    return false;
  }
}

function saveGlobals(globals: Map<string, WebAssembly.Global>): Uint8Array {
  const out: number[] = [];
  const number = new DataView(new ArrayBuffer(8));
  out.push(globals.size >>> 8, globals.size & 0xff);
  for (const [name, { value }] of globals) {
    const text = new TextEncoder().encode(name);
    const kind = Number(typeof value === "bigint");
    if (kind === 1) number.setBigInt64(0, value);
    else number.setFloat64(0, value);
    out.push(text.length, ...text, kind, ...new Uint8Array(number.buffer));
  }
  return Uint8Array.from(out);
}

function loadGlobals(globals: Map<string, WebAssembly.Global>, state: Uint8Array): void {
  const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
  const values = new Map<string, number | bigint>();
  try {
    let at = 2;
    for (let left = view.getUint16(0); left > 0; left--) {
      const length = view.getUint8(at);
      const name = new TextDecoder().decode(state.subarray(at + 1, at + 1 + length));
      at += 1 + length;
      values.set(name, view.getUint8(at) ? view.getBigInt64(at + 1) : view.getFloat64(at + 1));
      at += 9;
    }
  } catch (cause) {
    throw new IncompatibleError("The vCPU's state is cut off or not one of a reactor", { cause });
  }
  if (values.size !== globals.size || [...values.keys()].some((name) => !globals.has(name))) {
    const [theirs, ours] = [values, globals].map((map) => [...map.keys()].join(", ") || "none");
    throw new IncompatibleError(
      `The vCPU's state has the globals ${theirs}; the guest has ${ours}`,
    );
  }
  for (const [name, value] of values) {
    const global = globals.get(name)!;
    if (typeof global.value !== typeof value) {
      throw new IncompatibleError(`Global ${name} of the vCPU's state is of another type`);
    }
    global.value = value;
  }
}
