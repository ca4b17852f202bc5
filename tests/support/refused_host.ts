/**
 * A process on whose system calls a filter lies: each argument is `NUMBER=ERRNO` or
 * `NUMBER:REQUEST=ERRNO`, for a system call, an ioctl's request, and what it is to fail with (0: claims
 * to have worked). Prints what `probeHost()` finds and which dirty log is chosen then, as JSON.
 *
 * @module
 */
import { chooseDirtyLog } from "../../src/dirty/choose.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { probeHost } from "../../src/os/probe.ts";

/** BPF: load a word of the call's description, jump if equal, return. */
const LOAD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const OFFSET_NUMBER = 0;
const OFFSET_SECOND_ARGUMENT = 24;
const RETURN_ALLOW = 0x7fff0000;
const RETURN_ERRNO = 0x00050000;

function filter(number: number, request: number | undefined, errno: number): void {
  const program: [code: number, ifTrue: number, ifFalse: number, value: number][] = [
    [LOAD, 0, 0, OFFSET_NUMBER],
    [JUMP_IF_EQUAL, 0, request === undefined ? 1 : 3, number],
    ...(request === undefined ? [] : [
      [LOAD, 0, 0, OFFSET_SECOND_ARGUMENT],
      [JUMP_IF_EQUAL, 0, 1, request],
    ] as [number, number, number, number][]),
    [RETURN, 0, 0, RETURN_ERRNO | errno],
    [RETURN, 0, 0, RETURN_ALLOW],
  ];
  const code = new DataView(new ArrayBuffer(program.length * 8));
  program.forEach(([operation, ifTrue, ifFalse, value], i) => {
    code.setUint16(i * 8, operation, true);
    code.setUint8(i * 8 + 2, ifTrue);
    code.setUint8(i * 8 + 3, ifFalse);
    code.setUint32(i * 8 + 4, value, true);
  });
  const PR_SET_SECCOMP = 22n;
  const PR_SET_NO_NEW_PRIVS = 38n;
  const MODE_FILTER = 2n;
  const { prctl } = Deno.dlopen("libc.so.6", {
    prctl: { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "i32" },
  }).symbols;
  const header = new BigUint64Array([
    BigInt(program.length),
    Deno.UnsafePointer.value(Deno.UnsafePointer.of(code.buffer)),
  ]);
  const at = Deno.UnsafePointer.value(Deno.UnsafePointer.of(header));
  if (
    prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) < 0 ||
    prctl(PR_SET_SECCOMP, MODE_FILTER, at, 0n, 0n) < 0
  ) throw new Error("The filter is refused");
}

for (const argument of Deno.args) {
  const [call, errno] = argument.split("=") as [string, string];
  const [number, request] = call.split(":") as [string, string | undefined];
  filter(Number(number), request === undefined ? undefined : Number(request), Number(errno));
}
const ram = GuestRam.create([{ name: "ram", length: 65536 }]);
const { log, description } = chooseDirtyLog(ram, { barrierCapable: false });
await log.start();
const untouched = ram.blocks[0]!.untouched.count();
const found = { lacks: probeHost(), description, untouched, found: await log.sync() };
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(found)));
await log.stop();
